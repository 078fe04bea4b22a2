-- How events end, behind `functions.lua`, whose records and helpers these are. What ends while the server is out of memory
-- may: its record only shrinks.

-- What a completion finds that is not simply ours: the reply, and the fingerprint to keep, nil if nothing is written.
local function complete_known(old, token, how, hop)
  local state, held, _, _, _, _, _, _, _, _, known, hop_known = opened(old)
  if state then
    -- That an event was sent on, or has a letter, says nothing about what somebody else has begun. That it took effect
    -- does, and of what was given back nobody has begun anything.
    local given_back = state == 'F' and held == token and tonumber(hop) >= tonumber(hop_known)
    return 'S', (how == '0' or how == '1' and given_back) and known or nil
  end
  local how_before, by, print, hop_ended = ended(old)
  if not how_before then return 'E', nil end
  -- What was moved or dead-lettered before the event was sent on says nothing about what has become of it since, and
  -- what took effect was not moved, nor is it dead.
  if how_before ~= '0' and (how == '0' or tonumber(hop) > tonumber(hop_ended)) then
    return 'S', print
  end
  return by == token and 'C' or 'A', nil
end

-- An end as a record of its own.
local function end_of_its_own(token, how, attempts, first, print, hop)
  if how == '2' or how == '1' and hop ~= '0' then
    return '2' .. (how == '1' and 'X' or 'M') .. token .. ':' .. hop .. ':' .. attempts .. ':' .. first .. ':' .. print
  end
  return token .. how .. attempts .. (print ~= '' and ':' .. print or '')
end

-- What the keys hold, in few commands; a value that is no text looks like none.
local function values(keys)
  local all = {}
  for i = 1, #keys, 200 do
    local some = redis.call('MGET', unpack(keys, i, math.min(i + 199, #keys)))
    for j = 1, #some do all[i + j - 1] = some[j] end
  end
  return all
end

local function delete(keys)
  for i = 1, #keys, 200 do redis.call('DEL', unpack(keys, i, math.min(i + 199, #keys))) end
end

-- Who moves an event has given it back before: it stays so until it is due, also for copies, and is moved for all that
-- was sent on less often than its copy.
local function moved(key, old, token, hop, keep)
  local state, held, _, deadline, attempts, takeovers, solo, first, how, run, known = opened(old)
  if state ~= 'F' or held ~= token then return false end
  redis.call('SET', key, open('F', token, '', deadline, attempts, takeovers, solo, first, how, run, known, int(hop + 1)),
    'PX', keep)
  return true
end

local function complete(keys, argv, short)
  local _, ms = now()
  local call, replies, olds, written, gone, gone_keys = begin(ms), {}, short and values(keys) or {}, {}, {}, {}
  for i = 1, #keys do
    local key, at = keys[i], i * 8 - 7
    local token, how, keep, print, hop = argv[at + 1], argv[at + 2], argv[at + 3], argv[at + 5], argv[at + 6]
    local old = olds[i]
    if gone[key] then
      old = false
    elseif not old or written[key] then
      old = redis.pcall('GET', key)
    end
    old = meant(call, key, old)
    local ours = (hop == '0' and '1P' or '2P') .. token .. ':' .. argv[at] .. ':'
    local reply, known = 'C', ''
    if not old then
      local rest = remembered(call, key)
      reply = 'L'
      if rest then reply, known = is_under(rest, token) and 'C' or 'A', nil end
    elseif type(old) == 'string' and string.sub(old, 1, #ours) == ours then
      if hop ~= '0' then
        known = select(11, opened(old)) or ''
      elseif string.byte(old, -1) ~= COLON then
        known = string.match(old, '%x*$')
      end
    elseif how == '2' and type(old) == 'string' and moved(key, old, token, hop, keep) then
      known, written[key] = nil, true
    else
      reply, known = complete_known(checked(old), token, how, hop)
    end
    if known then
      if print == '' then print = known end
      -- What may be open again to a copy has a record of its own.
      if short and how == '0' and print == '' and fits(keep) then
        local rest = remember(call, key, token, how, keep)
        if rest then reply = is_under(rest, token) and 'C' or 'A' end
        if old then gone[key], gone_keys[#gone_keys + 1] = true, key end
      else
        written[key] = true
        redis.call('SET', key, end_of_its_own(token, how, argv[at + 4], argv[at + 7], print, hop), 'PX', keep)
      end
    end
    replies[i] = reply
  end
  delete(gone_keys)
  return replies
end

-- ARGV: owner, token, 0 done, 1 dead or 2 moved, retention ms, attempts (of what is done or dead as two digits),
--       fingerprint, hop, first failure
-- Reply: C recorded; A finished by another before; S was stolen, recorded where that counts; L was lost, recorded;
--        E foreign
local function complete_long(keys, argv) return complete(keys, argv, false) end

-- The same, and what can be is kept in short: without its attempts, and with a part of its token.
local function complete_short(keys, argv) return complete(keys, argv, true) end

-- ARGV: what was written by mistake, what should stand there, retention ms, 0 for ever
-- Reply: R put back; N it is something else by now, which stays
local function amend(keys, argv)
  local replies = {}
  for i = 1, #keys do
    local key, at = keys[i], i * 3 - 2
    replies[i] = 'N'
    if checked(redis.pcall('GET', key)) == argv[at] then
      if argv[at + 2] == '0' then
        redis.call('SET', key, argv[at + 1])
      else
        redis.call('SET', key, argv[at + 1], 'PX', argv[at + 2])
      end
      replies[i] = 'R'
    end
  end
  return replies
end

-- Of keys that were new when they were claimed without these functions. An end that was kept in short before is found,
-- and the claim undone.
-- ARGV: retention ms
-- Reply: W it may run; D done; X dead
local function confirm(keys, argv)
  local _, ms = now()
  local call, replies = begin(ms), {}
  for i = 1, #keys do
    local rest, left, page, number = remembered(call, keys[i])
    if rest then prolong(call, keys[i], argv[i], rest, left, page, number) end
    local old = rest and meant(call, keys[i], checked(redis.pcall('GET', keys[i])))
    local is_open = old and opened(old)
    if is_open then redis.call('DEL', keys[i]) end
    -- What ended with a key of its own, or is foreign, is told by that.
    local told = old and not is_open
    replies[i] = rest and not told and (is_dead(rest) and 'X' or 'D') or 'W'
  end
  return replies
end

-- Of completions that found no key: an end that was kept in short before stays, and the one that was written goes.
-- ARGV: token, what was written
-- Reply: L there was none; C it was ours; A finished by another before
local function contest(keys, argv)
  local _, ms = now()
  local call, replies = begin(ms), {}
  for i = 1, #keys do
    local key, at = keys[i], i * 2 - 1
    local rest = remembered(call, key)
    if rest and checked(redis.pcall('GET', key)) == argv[at + 1] then redis.call('DEL', key) end
    replies[i] = not rest and 'L' or is_under(rest, argv[at]) and 'C' or 'A'
  end
  return replies
end

-- A whole batch that took effect, as long as nothing has happened to any of its events alone: nobody has taken one over
-- before its lease runs out. A server that has lost what it was told last has lost the claim of the last of them, too.
-- KEYS: the batch, the last of its events. ARGV: token, what stands under the last, retention ms
-- Reply: C recorded; N they have to end one by one
local function end_batch(keys, argv)
  local _, ms = now()
  local batch = checked(redis.pcall('GET', keys[1])) or ''
  if batch == '1D' .. argv[1] then return { 'C' } end
  local token, deadline = string.match(batch, '^1P(%d+):(%d+):')
  if token ~= argv[1] or ms >= tonumber(deadline) or redis.pcall('GET', keys[2]) ~= argv[2] then return { 'N' } end
  redis.call('SET', keys[1], '1D' .. token, 'PX', argv[3])
  return { 'C' }
end

redis.register_function{ function_name = 'oncewise_v2_end', callback = end_batch, flags = { 'allow-oom' } }
redis.register_function{ function_name = 'oncewise_v2_complete', callback = complete_long, flags = { 'allow-oom' } }
redis.register_function{ function_name = 'oncewise_v2_shorten', callback = complete_short, flags = { 'allow-oom' } }
redis.register_function{ function_name = 'oncewise_v2_confirm', callback = confirm, flags = { 'allow-oom' } }
redis.register_function{ function_name = 'oncewise_v2_contest', callback = contest, flags = { 'allow-oom' } }
redis.register_function{ function_name = 'oncewise_v2_amend', callback = amend, flags = { 'allow-oom' } }
redis.register_function{ function_name = 'oncewise_v2_revision', callback = function() return 9 end,
  flags = { 'no-writes' } }
