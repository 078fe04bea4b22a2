-- The dedupe store's operations. Each function takes a batch: KEYS holds one key per request, ARGV the same number of
-- arguments per request, the reply one text per request. A batch that failed half-way may simply be sent again.
--
-- A record is text, and numbers in it are decimal. While an event is open, version 1 stands in front:
--   1P<token>:<owner>:<deadline>:<attempts>:<takeovers>:<solo>:<first failure>:<grant>:<run>:<fingerprint>   leased
--   1F the same, no owner, grant W or T, run N                                   free again, not before <deadline>
-- Of an event that has ended little is kept, as one number, because Redis stores numbers of up to 64 bits in place:
--   <token><0 done, 1 dead><two digits: attempts, at most 99>[:<fingerprint>]
-- An event that was sent on by us (to be tried later, or again) before it was claimed has version 2 in front:
--   2P<as above>:<hop>                                                            leased
--   2F<as above>:<hop>                                                            free again
-- and so have the ends that are open again to an event that was sent on more often:
--   2X<token>:<hop>:<attempts>:<first failure>:<fingerprint>                      dead, with a hop that is not 0
--   2M<the same>                                                                 moved: its copy is what counts
-- What was given back first and moved then is free again, with the hop of its copy: 2F.
-- The fingerprint is hexadecimal or empty. <hop> is how often the event had been sent on when it was claimed.
-- <run> tells whether the handler runs: N not known, C in a crowd, A with nothing else in flight. <takeovers> counts the
-- first lease that ran out, and each later one under which it ran; <solo> those under which it ran alone.
-- <grant> is how the claim was granted, W won, T taken over, S spent: a repeated request hears the same, and so does the
-- next owner of what was given back in doubt.
-- Events that are claimed together may end together: what stands under their keys is one number then, which names their
-- batch and their place in it,
--   <16 digits: batch><200 + place>
-- and `<prefix>:batch:<batch>` says the rest for all of them:
--   1P<token>:<deadline>:<what their owners begin with>:<how each goes on, with commas in between>
--                                        leased, for the first time, and nothing has happened to any of them alone
--   1S the same                          some of them are looked at one by one: they do not end together any more
--   1D<token>                            done, at the first attempt
-- It is remembered for longer than any of its keys. Whoever asks about a key reads what these two mean together.
-- Whatever is not written as above is foreign and never overwritten.
-- Workers of several versions share these functions: what changes the record or a call gets a new library name. A new
-- function does not, only a new revision: workers replace what is older than theirs, and nothing else.
--
-- Most keys are new when claimed and still ours when completed. Workers write those records themselves, without these
-- functions, for that costs the server a third: `claims.rs` and `completions.rs` say how, `record.rs` reads and writes
-- the same records. Batches that end together are written by `batches.rs`.

local OPEN = '^1([PF])(%d+):([%w._-]*):(%d+):(%d+):(%d+):(%d+):(%-?%d*):([WTS]):([NCA]):(%x*)$'
local SENT_ON = '^2([PF])(%d+):([%w._-]*):(%d+):(%d+):(%d+):(%d+):(%-?%d*):([WTS]):([NCA]):(%x*):(%d+)$'
local COLON = 58

-- One clock for all workers: the server's. The token comes from it too, so that it grows even across a lost record.
local function now()
  local time = redis.call('TIME')
  local us = time[1] * 1000000 + time[2]
  return us, math.floor(us / 1000)
end

-- A failed command ends the batch, except that a value of another type is just one more value we cannot read.
local function checked(reply)
  if type(reply) == 'table' then
    if not string.find(reply.err, 'WRONGTYPE', 1, true) then error(reply) end
    return 'foreign'
  end
  return reply
end

local function open(state, token, owner, deadline, attempts, takeovers, solo, first, grant, run, print, hop)
  local text = state .. token .. ':' .. owner .. ':' .. int(deadline) .. ':' .. attempts .. ':' .. takeovers .. ':'
    .. solo .. ':' .. first .. ':' .. grant .. ':' .. run .. ':' .. print
  return hop == '0' and '1' .. text or '2' .. text .. ':' .. hop
end

-- What an open record says, in its order; nil when the value is none.
local function opened(value)
  if string.byte(value) == 50 then return string.match(value, SENT_ON) end
  local state, token, owner, deadline, attempts, takeovers, solo, first, grant, run, print = string.match(value, OPEN)
  return state, token, owner, deadline, attempts, takeovers, solo, first, grant, run, print, '0'
end

local BATCHED = '^(%d+)([2-9]%d%d)$'

-- What a batch says for its events, read once in a call; nil when there is none.
local function batch_of(call, key, number)
  local known = call.batches[number]
  if known then return known end
  local name = string.match(key, '^(.-):{%d+}:') .. ':batch:' .. number
  local value = redis.call('GET', name) or ''
  local done = string.match(value, '^1D(%d+)$')
  local state, token, deadline, head, tails = string.match(value, '^1([PS])(%d+):(%d+):([%w._-]*):([%w._,-]*)$')
  if not done and not state then return nil end
  known = { name = name, done = done, whole = state == 'P', token = token, deadline = deadline, head = head, tails = {} }
  for tail in string.gmatch(tails or '', '[^,]+') do known.tails[#known.tails + 1] = tail end
  call.batches[number] = known
  return known
end

-- The record that a value under a key stands for. `looks` says that nothing may be changed; otherwise a member of a batch
-- is on its own from now on: what has ended gets its own record, and the others of what has not will end one by one.
local function meant(call, key, value, looks)
  if type(value) ~= 'string' or #value ~= 19 then return value end
  local number, place = string.match(value, BATCHED)
  local batch = number and batch_of(call, key, number)
  if not batch then return value end
  if batch.done then
    local done = batch.done .. '001'
    if not looks then redis.call('SET', key, done, 'KEEPTTL') end
    return done
  end
  local tail = batch.tails[place - 199]
  if not tail then return value end
  if not looks and batch.whole then
    redis.call('SETRANGE', batch.name, 1, 'S')
    batch.whole = false
  end
  return open('P', batch.token, batch.head .. tail, batch.deadline, '0', '0', '0', '', 'W', 'N', '', '0')
end

local function grant(how, token, attempts, takeovers, first)
  return how .. token .. ':' .. attempts .. ':' .. takeovers .. ':' .. first
end

local function differ(one, other) return one ~= '' and other ~= '' and one ~= other end

local function either(one, other) if one ~= '' then return one else return other end end

local function grown(token, us)
  local next = math.max(token + 1, us)
  -- What is kept of a token in short tells it from the one before.
  if next % TOKENS == token % TOKENS then next = next + 1 end
  return int(next)
end

-- How an event ended (0 done, 1 dead, 2 moved), the token it ended under, its fingerprint, hop, attempts and first
-- failure; nil when the value is no such record.
local function ended(value)
  local token, how, attempts, print = string.match(value, '^(%d+)([01])(%d%d):(%x+)$')
  if token then return how, token, print, '0', attempts, '' end
  token, how, attempts = string.match(value, '^(%d+)([01])(%d%d)$')
  if token then return how, token, '', '0', attempts, '' end
  local letter, under, hop, tries, first, known = string.match(value, '^2([XM])(%d+):(%d+):(%d+):(%-?%d*):(%x*)$')
  if letter then return letter == 'X' and '1' or '2', under, known, hop, tries, first end
end

local ENDS = { ['0'] = 'D', ['1'] = 'X', ['2'] = 'M' }

-- A worker from before there were hops may have taken the time to live from a record that it could not read.
local function remember_longer(key, keep)
  if redis.call('PEXPIRE', key, keep, 'GT') == 0 and redis.call('PTTL', key) == -1 then
    redis.call('PEXPIRE', key, keep)
  end
end

-- A claim of a key whose event has ended. To one that was sent on since, what was moved or dead-lettered is open again:
-- the dead begins anew, and its content may be another.
local function claim_ended(key, old, us, ms, owner, lease, keep, print, hop)
  local how, token, known, hop_ended, attempts, first = ended(old)
  if not how then return 'E' end
  if how ~= '0' and tonumber(hop) > tonumber(hop_ended) and not (how == '2' and differ(print, known)) then
    if how == '1' then attempts, first = '0', '' end
    token = grown(token, us)
    redis.call('SET', key, open('P', token, owner, ms + lease, attempts, '0', '0', first, 'W', 'N',
      either(print, known), hop), 'PX', keep)
    return grant('W', token, attempts, '0', first)
  end
  -- Remembered for as long after its last copy as after its first.
  remember_longer(key, keep)
  return differ(print, known) and 'H' .. hop_ended or ENDS[how]
end

-- A claim of a key that is known; the arguments of its request come last.
local function claim_known(key, old, us, ms, owner, lease, keep, allowed, print, hop)
  local state, token, holder, deadline, attempts, takeovers, solo, first, how, run, known, hop_known = opened(old)
  if not state then return claim_ended(key, old, us, ms, owner, lease, keep, print, hop) end
  if differ(print, known) then return 'H' .. hop_known end
  if tonumber(hop) < tonumber(hop_known) then return 'M' end
  if state == 'P' and holder == owner then
    redis.call('SET', key, open('P', token, owner, ms + lease, attempts, takeovers, solo, first, how, run,
      either(known, print), hop_known), 'PX', keep)
    return grant(how, token, attempts, takeovers, first)
  end
  if ms < tonumber(deadline) then return (state == 'P' and 'B' or 'O') .. int(deadline - ms) end
  if state == 'P' then
    how = 'T'
    if takeovers == '0' or run ~= 'N' then takeovers = int(takeovers + 1) end
    if run == 'A' then solo = int(solo + 1) end
  end
  if tonumber(solo) >= math.max(tonumber(allowed), 1) then how = 'S' end
  token = grown(token, us)
  redis.call('SET', key, open('P', token, owner, ms + lease, attempts, takeovers, solo, first, how, 'N',
    either(known, print), hop), 'PX', keep)
  return grant(how, token, attempts, takeovers, first)
end

-- What has ended in short and is claimed nevertheless is not granted: the claim is undone. To one that was sent on since,
-- what earlier versions have kept in short as dead is open again, and begins anew.
local function settled(call, key, keep, hop)
  local rest, left, page, number = remembered(call, key)
  if not rest then return nil end
  if is_dead(rest) and hop ~= '0' then
    forget_one(page, number, call.ms)
    return nil
  end
  prolong(call, key, keep, rest, left, page, number)
  redis.call('DEL', key)
  return is_dead(rest) and 'X' or 'D'
end

-- ARGV: owner, lease ms, retention ms, solo deaths allowed, fingerprint, hop
-- Reply: W|T|S<token>:<attempts>:<takeovers>:<first failure> won, taken over, spent; B<ms left> busy;
--        O<ms left> backing off; D done; X dead; M moved; H<hop> other fingerprint; E foreign
local function claim(keys, argv)
  local us, ms = now()
  local head = '1P' .. int(us) .. ':'
  local won = grant('W', int(us), '0', '0', '')
  local lease_before, tail
  local call, replies = begin(ms), {}
  for i = 1, #keys do
    local key, at = keys[i], i * 6 - 5
    local owner, lease, keep, print, hop = argv[at], argv[at + 1], argv[at + 2], argv[at + 4], argv[at + 5]
    if lease ~= lease_before then
      tail = ':' .. int(ms + lease) .. ':0:0:0::W:N:'
      lease_before = lease
    end
    -- One command says whether the key is new, and claims it.
    local fresh = head .. owner .. tail .. print
    if hop ~= '0' then
      fresh = open('P', int(us), owner, ms + lease, '0', '0', '0', '', 'W', 'N', print, hop)
    end
    local old = redis.pcall('SET', key, fresh, 'NX', 'GET', 'PX', keep)
    if old then
      local reply = claim_known(key, meant(call, key, checked(old)), us, ms, owner, lease, keep, argv[at + 3], print, hop)
      replies[i] = string.find(reply, '^[WTS]') and settled(call, key, keep, hop) or reply
    else
      replies[i] = settled(call, key, keep, hop) or won
    end
  end
  return replies
end

-- ARGV: owner, token, lease ms, retention ms, attempts, first failure, run, fingerprint, hop
-- Reply: K kept; S stolen; Z finished; R made again; E foreign
local function renew(keys, argv)
  local _, ms = now()
  local call, replies = begin(ms), {}
  for i = 1, #keys do
    local key, at = keys[i], i * 9 - 8
    local owner, token, lease, keep = argv[at], argv[at + 1], argv[at + 2], argv[at + 3]
    local attempts, first, run, print = argv[at + 4], argv[at + 5], argv[at + 6], argv[at + 7]
    local old = meant(call, key, checked(redis.pcall('GET', key)))
    if not old and remembered(call, key) then
      replies[i] = 'Z'
    elseif not old then
      redis.call('SET', key, open('P', token, owner, ms + lease, attempts, '0', '0', first, 'W', run, print,
        argv[at + 8]), 'PX', keep)
      replies[i] = 'R'
    else
      local state, held, holder, _, _, takeovers, solo, _, how, _, known, hop = opened(old)
      if state == 'P' and held == token and holder == owner then
        redis.call('SET', key, open('P', token, owner, ms + lease, attempts, takeovers, solo, first, how, run,
          either(print, known), hop), 'PX', keep)
        replies[i] = 'K'
      elseif state then
        replies[i] = 'S'
      else
        replies[i] = ended(old) and 'Z' or 'E'
      end
    end
  end
  return replies
end

-- ARGV: owner, token, delay ms, retention ms, attempts, first failure, 1 when in doubt
-- Reply: R released; N not ours; Z finished; E foreign
local function release(keys, argv)
  local _, ms = now()
  local call, replies = begin(ms), {}
  for i = 1, #keys do
    local key, at = keys[i], i * 7 - 6
    local owner, token, delay, keep = argv[at], argv[at + 1], argv[at + 2], argv[at + 3]
    local old = meant(call, key, checked(redis.pcall('GET', key)))
    if not old then
      replies[i] = remembered(call, key) and 'Z' or 'N'
    else
      local state, held, holder, _, _, takeovers, solo, _, _, _, known, hop = opened(old)
      if state == 'P' and held == token and holder == owner then
        redis.call('SET', key, open('F', token, '', ms + delay, argv[at + 4], takeovers, solo, argv[at + 5],
          argv[at + 6] == '1' and 'T' or 'W', 'N', known, hop), 'PX', keep)
        replies[i] = 'R'
      elseif state then
        replies[i] = state == 'F' and held == token and 'R' or 'N'
      else
        replies[i] = ended(old) and 'Z' or 'E'
      end
    end
  end
  return replies
end

-- Reply: U unknown; E foreign; P claimed, F free, D done, X dead, M moved, and then
--        <token>:<owner>:<ms left>:<attempts>:<takeovers>:<first failure>:<fingerprint>:<ms remembered>:<hop>:<stamp>
--        token and attempts are empty where an end is kept in short
local function inspect(keys)
  local _, ms = now()
  local call, replies = begin(ms), {}
  for i = 1, #keys do
    local old = meant(call, keys[i], checked(redis.pcall('GET', keys[i])), true)
    local state, token, owner, deadline, attempts, takeovers, _, first, print, hop
    if old then state, token, owner, deadline, attempts, takeovers, _, first, _, _, print, hop = opened(old) end
    if old and not state then
      state, token, print, hop, attempts, first = ended(old)
      if state then state, owner, deadline, takeovers = ENDS[state], '', 0, '' end
    end
    if state then
      replies[i] = state .. token .. ':' .. owner .. ':' .. int(math.max(deadline - ms, 0)) .. ':' .. attempts .. ':'
        .. takeovers .. ':' .. first .. ':' .. print .. ':' .. int(redis.call('PTTL', keys[i])) .. ':'
        .. hop .. ':' .. redis.sha1hex(old)
    elseif old then
      replies[i] = 'E'
    else
      local rest, left = remembered(call, keys[i])
      replies[i] = rest and (is_dead(rest) and 'X' or 'D') .. '::0:::::' .. int(left) .. ':0:' .. redis.sha1hex(rest)
        or 'U'
    end
  end
  return replies
end

-- ARGV: the stamp under which it was seen
-- Reply: F forgotten; B<ms left> a lease runs; C changed since; E foreign
local function forget(keys, argv)
  local _, ms = now()
  local call, replies = begin(ms), {}
  for i = 1, #keys do
    local old = meant(call, keys[i], checked(redis.pcall('GET', keys[i])))
    local state, deadline
    if old then state, _, _, deadline = opened(old) end
    if not old then
      local rest, _, page, number = remembered(call, keys[i])
      replies[i] = rest and redis.sha1hex(rest) ~= argv[i] and 'C' or 'F'
      if rest and replies[i] == 'F' then forget_one(page, number, ms) end
    elseif state == 'P' and ms < tonumber(deadline) then
      replies[i] = 'B' .. int(deadline - ms)
    elseif not state and not ended(old) then
      replies[i] = 'E'
    elseif redis.sha1hex(old) ~= argv[i] then
      replies[i] = 'C'
    else
      redis.call('DEL', keys[i])
      replies[i] = 'F'
    end
  end
  return replies
end

-- A server that is out of memory takes no new claims, but what is in flight may still end: its records only shrink.
redis.register_function('oncewise_v2_claim', claim)
redis.register_function{ function_name = 'oncewise_v2_renew', callback = renew, flags = { 'allow-oom' } }
redis.register_function{ function_name = 'oncewise_v2_release', callback = release, flags = { 'allow-oom' } }
redis.register_function{ function_name = 'oncewise_v2_inspect', callback = inspect, flags = { 'no-writes' } }
redis.register_function{ function_name = 'oncewise_v2_forget', callback = forget, flags = { 'allow-oom' } }
