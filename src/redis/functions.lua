#!lua name=oncewise_v1
-- The dedupe store's operations. Each function takes a batch: KEYS holds one key per request, ARGV the same number of
-- arguments per request, the reply one text per request. A batch that failed half-way may simply be sent again.
--
-- A record is text, version 1 in front. Numbers are decimal, the fingerprint is hexadecimal or empty.
--   1P<token>:<attempts>:<fingerprint>:<takeovers>:<solo>:<first failure>:<grant>:<run>:<deadline>:<owner>   leased
--   1F the same, grant W or T, run N, no owner                                      free again, not before <deadline>
--   1D<token>:<attempts>[:<fingerprint>]                                                                         done
--   1X the same                                                                                                  dead
-- <run> tells whether the handler runs: N not known, C in a crowd, A with nothing else in flight. <takeovers> counts the
-- first lease that ran out, and each later one under which it ran; <solo> those under which it ran alone.
-- <grant> is how the claim was granted, W won, T taken over, S spent: a repeated request hears the same, and so does the
-- next owner of what was given back in doubt.
-- The letter M is kept for "moved". Whatever is not written as above is foreign and never overwritten.
-- Workers of several versions share these functions: what changes the record or a call gets a new library name.

local OPEN = '^1([PF])(%d+):(%d+):(%x*):(%d+):(%d+):(%-?%d*):([WTS]):([NCA]):(%d+):([%w._-]*)$'
local ENDED = '^1([DX])(%d+):%d+:?(%x*)$'

-- One clock for all workers: the server's. The token comes from it too, so that it grows even across a lost record.
local function now()
  local time = redis.call('TIME')
  local us = time[1] * 1000000 + time[2]
  return us, math.floor(us / 1000)
end

local function int(number) return string.format('%.0f', number) end

-- A failed command ends the batch, except that a value of another type is just one more value we cannot read.
local function run(...)
  local reply = redis.pcall(...)
  if type(reply) == 'table' and reply.err then
    if string.find(reply.err, 'WRONGTYPE', 1, true) then return 'foreign' end
    error(reply)
  end
  return reply
end

local function open(state, token, attempts, print, takeovers, solo, first, grant, run, deadline, owner)
  return '1' .. state .. token .. ':' .. attempts .. ':' .. print .. ':' .. takeovers .. ':' .. solo .. ':' .. first
    .. ':' .. grant .. ':' .. run .. ':' .. int(deadline) .. ':' .. owner
end

local function grant(how, token, attempts, takeovers, first)
  return how .. token .. ':' .. attempts .. ':' .. takeovers .. ':' .. first
end

local function differ(one, other) return one ~= '' and other ~= '' and one ~= other end

local function either(one, other) if one ~= '' then return one else return other end end

-- ARGV: owner, lease ms, retention ms, solo deaths allowed, fingerprint
-- Reply: W|T|S<token>:<attempts>:<takeovers>:<first failure> won, taken over, spent; B<ms left> busy;
--        O<ms left> backing off; D done; X dead; H other fingerprint; E foreign
local function claim(keys, argv)
  local us, ms = now()
  local replies = {}
  for i, key in ipairs(keys) do
    local at = i * 5 - 4
    local owner, lease, keep, allowed, print = argv[at], argv[at + 1], argv[at + 2], argv[at + 3], argv[at + 4]
    -- Most keys are new: one command settles those.
    local fresh = open('P', int(us), '0', print, '0', '0', '', 'W', 'N', ms + lease, owner)
    local old = run('SET', key, fresh, 'NX', 'GET', 'PX', keep)
    if not old then
      replies[i] = grant('W', int(us), '0', '0', '')
    else
      local state, token, attempts, known, takeovers, solo, first, how, runs, deadline, holder =
        string.match(old, OPEN)
      local ended, _, print_of_ended = string.match(old, ENDED)
      if not state and not ended then
        replies[i] = 'E'
      elseif differ(print, known or print_of_ended) then
        replies[i] = 'H'
      elseif ended then
        replies[i] = ended
      elseif state == 'P' and holder == owner then
        run('SET', key, open('P', token, attempts, either(known, print), takeovers, solo, first, how, runs,
          ms + lease, owner), 'PX', keep)
        replies[i] = grant(how, token, attempts, takeovers, first)
      elseif ms < tonumber(deadline) then
        replies[i] = (state == 'P' and 'B' or 'O') .. int(deadline - ms)
      else
        if state == 'P' then
          how = 'T'
          if takeovers == '0' or runs ~= 'N' then takeovers = int(takeovers + 1) end
          if runs == 'A' then solo = int(solo + 1) end
        end
        if tonumber(solo) >= math.max(tonumber(allowed), 1) then how = 'S' end
        token = int(math.max(token + 1, us))
        run('SET', key, open('P', token, attempts, either(known, print), takeovers, solo, first, how, 'N',
          ms + lease, owner), 'PX', keep)
        replies[i] = grant(how, token, attempts, takeovers, first)
      end
    end
  end
  return replies
end

-- ARGV: owner, token, lease ms, retention ms, attempts, first failure, run, fingerprint
-- Reply: K kept; S stolen; Z finished; R made again; E foreign
local function renew(keys, argv)
  local _, ms = now()
  local replies = {}
  for i, key in ipairs(keys) do
    local at = i * 8 - 7
    local owner, token, lease, keep = argv[at], argv[at + 1], argv[at + 2], argv[at + 3]
    local attempts, first, runs, print = argv[at + 4], argv[at + 5], argv[at + 6], argv[at + 7]
    local old = run('GET', key)
    if not old then
      run('SET', key, open('P', token, attempts, print, '0', '0', first, 'W', runs, ms + lease, owner), 'PX', keep)
      replies[i] = 'R'
    else
      local state, held, _, known, takeovers, solo, _, how, _, _, holder = string.match(old, OPEN)
      if state == 'P' and held == token and holder == owner then
        run('SET', key, open('P', token, attempts, either(print, known), takeovers, solo, first, how, runs,
          ms + lease, owner), 'PX', keep)
        replies[i] = 'K'
      elseif state then
        replies[i] = 'S'
      else
        replies[i] = string.match(old, ENDED) and 'Z' or 'E'
      end
    end
  end
  return replies
end

-- ARGV: owner, token, D or X, retention ms, attempts, fingerprint
-- Reply: C recorded; A finished by another before; S was stolen, recorded; L was lost, recorded; E foreign
local function complete(keys, argv)
  local replies = {}
  for i, key in ipairs(keys) do
    local at = i * 6 - 5
    local owner, token, ending, keep = argv[at], argv[at + 1], argv[at + 2], argv[at + 3]
    local attempts, print = argv[at + 4], argv[at + 5]
    local old = run('GET', key)
    local known = ''
    if not old then
      replies[i] = 'L'
    else
      local state, held, _, before, _, _, _, _, _, _, holder = string.match(old, OPEN)
      if state then
        known = before
        replies[i] = state == 'P' and held == token and holder == owner and 'C' or 'S'
      else
        local ended, by = string.match(old, ENDED)
        replies[i] = not ended and 'E' or by == token and 'C' or 'A'
        known = nil
      end
    end
    if known then
      print = either(print, known)
      if print ~= '' then print = ':' .. print end
      run('SET', key, '1' .. ending .. token .. ':' .. attempts .. print, 'PX', keep)
    end
  end
  return replies
end

-- ARGV: owner, token, delay ms, retention ms, attempts, first failure, 1 when in doubt
-- Reply: R released; N not ours; Z finished; E foreign
local function release(keys, argv)
  local _, ms = now()
  local replies = {}
  for i, key in ipairs(keys) do
    local at = i * 7 - 6
    local owner, token, delay, keep = argv[at], argv[at + 1], argv[at + 2], argv[at + 3]
    local attempts, first, how = argv[at + 4], argv[at + 5], argv[at + 6] == '1' and 'T' or 'W'
    local old = run('GET', key)
    if not old then
      replies[i] = 'N'
    else
      local state, held, _, known, takeovers, solo, _, _, _, _, holder = string.match(old, OPEN)
      if state == 'P' and held == token and holder == owner then
        run('SET', key, open('F', token, attempts, known, takeovers, solo, first, how, 'N', ms + delay, ''),
          'PX', keep)
        replies[i] = 'R'
      elseif state then
        replies[i] = state == 'F' and held == token and 'R' or 'N'
      else
        replies[i] = string.match(old, ENDED) and 'Z' or 'E'
      end
    end
  end
  return replies
end

-- A server that is out of memory takes no new claims, but what is in flight may still end: its records only shrink.
redis.register_function('oncewise_v1_claim', claim)
redis.register_function{ function_name = 'oncewise_v1_renew', callback = renew, flags = { 'allow-oom' } }
redis.register_function{ function_name = 'oncewise_v1_complete', callback = complete, flags = { 'allow-oom' } }
redis.register_function{ function_name = 'oncewise_v1_release', callback = release, flags = { 'allow-oom' } }
