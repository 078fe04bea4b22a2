-- What has ended, in short: layout = "compact". Each bucket of keys has a table, and a table has pages:
--
--   <prefix>:{<bucket>}:pages   how many pages it has, and until which minute it is needed: two numbers of 32 bits
--   <prefix>:{<bucket>}:p<n>    a page
--   <prefix>:compact            there while any table of the prefix is: the sign that workers look for. In a cluster,
--                               where no function reaches beyond its slot, they look for each bucket's table instead
--
-- A page is a string: a head of 16 bytes, two bytes of each event, then the other twelve of each. The head is how many
-- events have room, and three minutes since 1970: since when the marks count, until when the page is needed, and before
-- when none of its events is over. The two bytes are a set bit and 15 bits of the key's digest; the twelve are 72 bits
-- of it, 3 more, 1 bit that is set when the event is dead, 12 bits of the token it ended under, and a byte that says
-- until when it is remembered. What is free is zero. Lua takes nanoseconds for every byte that a command gives it: so
-- pages are searched by the two bytes, and the twelve are read of what may be meant.
--
-- 96 bits tell one event from another: 6 of the bucket and 90 of the page. That among 10^10 events remembered at the
-- same time any two are taken for one has a probability of 10^20 / 2 / 2^96 = 6 * 10^-10.
--
-- A table grows by one page at a time (linear hashing): with n pages, an event is in page hash mod s, where s is the
-- smallest power of two that is not below n, or, where there is no such page yet, in the page s / 2 before it.

local HEAD, SIGN, REST = 16, 2, 12
-- A page with more events makes its table grow, one with fewer makes it shrink.
local FULL, SPARSE = 144, 16
-- What is read of a page at first: the signs of any but the fullest.
local TOP = HEAD + SIGN * 181
-- What pages are called in their tables, as far as it was asked for.
local NAMES = {}
local MINUTE = 60000
-- A mark is 32 times its class and how many units of that class lie between 1970 and the end, modulo 32. Retentions are
-- rounded up to whole units: at most 24, and more than 6 above the smallest class.
local UNITS = {}
for class = 1, 7 do UNITS[class] = 15 * MINUTE * 4 ^ (class - 1) end
local LONGEST_UNITS, MARK_UNITS = 24, 6
local TOKENS = 4096
-- How many events fit into what jemalloc allocates, for a page has a string's header and its terminator as well.
local ROOMS = {}
for power = 5, 20 do
  for quarter = 4, 7 do
    local bytes = 2 ^ power / 4 * quarter - HEAD - 6
    ROOMS[#ROOMS + 1] = (bytes - bytes % (SIGN + REST)) / (SIGN + REST)
  end
end

local function int(number) return string.format('%.0f', number) end

-- Whether an end can be remembered in short; it is not worth it for a short time, nor possible for three years.
local function fits(keep)
  keep = tonumber(keep)
  return keep > UNITS[1] and keep <= LONGEST_UNITS * UNITS[#UNITS]
end

-- What one call knows: the present, and what it has found out.
local function begin(ms) return { ms = ms, tables = {}, terms = {}, batches = {} } end

-- Until when something is remembered from now on: its mark, when it ends, and the unit of that.
local function term_of(call, keep)
  local term = call.terms[keep]
  if term then return term end
  local class = 1
  while tonumber(keep) > LONGEST_UNITS * UNITS[class] do class = class + 1 end
  local unit = UNITS[class]
  local ends = math.floor((call.ms + keep) / unit) + 1
  term = { mark = class * 32 + ends % 32, ends = ends * unit, unit = unit }
  call.terms[keep] = term
  return term
end

-- When an event with this rest ends, in a page whose marks count since this millisecond.
local function end_of(rest, since)
  local mark = string.byte(rest, REST)
  local unit = UNITS[math.floor(mark / 32)]
  local first = math.floor(since / unit) + 1
  return (first + (mark - first) % 32) * unit
end

local IN_CLUSTER

-- Nobody may take a page for missing that is only at the other node while a slot moves. Two keys that exist nowhere are
-- refused then, by the node that the slot leaves and by the one it comes to: the call fails before it has changed
-- anything that pages say, and is asked again when the slot has moved.
local function settle_slot(base)
  if IN_CLUSTER == nil then
    IN_CLUSTER = string.find(redis.call('INFO', 'cluster'), 'cluster_enabled:1', 1, true) ~= nil
  end
  if IN_CLUSTER then redis.call('EXISTS', base .. 'here', base .. 'there') end
end

-- The table of a key, read once in a call.
local function table_of(call, key)
  local base = string.sub(key, 1, -17)
  local known = call.tables[base]
  if not known then
    settle_slot(base)
    known = { base = base, pages = 0, span = 1, till = 0 }
    local said = redis.call('GET', base .. 'pages')
    if said then
      known.pages, known.till = struct.unpack('>I4I4', said)
      while known.span < known.pages do known.span = known.span * 2 end
    end
    call.tables[base] = known
  end
  return known
end

local function save_table(known)
  redis.call('SET', known.base .. 'pages', struct.pack('>I4I4', known.pages, known.till), 'PXAT',
    int(known.till * MINUTE))
end

-- Keeps the table, and the sign that there is one, until this minute at least.
local function keep_table(known, till)
  known.till = till
  save_table(known)
  if IN_CLUSTER then return end
  local sign = string.match(known.base, '^(.*){%d+}:$') .. 'compact'
  local signed = redis.call('GET', sign)
  if not signed or tonumber(signed) < till then redis.call('SET', sign, till, 'PXAT', int(till * MINUTE)) end
end

local function name_of(number)
  local name = NAMES[number] or 'p' .. number
  if number < 10000 then NAMES[number] = name end
  return name
end

-- The page of a key. Its hash are the first four of the twelve bytes, the lowest first.
local function page_of(known, key)
  local a, b, c, d = string.byte(key, -9, -6)
  local number = (a + b * 256 + c * 65536 + d * 16777216) % known.span
  if number >= known.pages then number = number - known.span / 2 end
  return known.base .. name_of(number)
end

-- The two bytes of a key.
local function sign_of(key)
  local a, b = string.byte(key, -11, -10)
  return string.char(128 + a % 128, b)
end

-- The top of a page, its head and its signs; nil when there is no such page.
local function open_page(name)
  local top = redis.call('GETRANGE', name, 0, TOP - 1)
  if top == '' then return nil end
  local room, since, till, oldest = struct.unpack('>I4I4I4I4', top)
  if HEAD + SIGN * room > TOP then top = redis.call('GETRANGE', name, 0, HEAD + SIGN * room - 1) end
  return { name = name, room = room, since = since, till = till, oldest = oldest, top = top }
end

-- How many events are in the page.
local function count(page)
  local free = string.find(page.top, '\0\0', HEAD + 1, true)
  -- Where the last sign ends with a zero, one is found there already.
  local before = free and math.floor((free - HEAD) / SIGN)
  return before and before < page.room and before or page.room
end

-- Which event of the page is that of a key, counted from 0, and its rest; nil when none is.
local function search(page, key)
  local sign, digest = sign_of(key), string.sub(key, -9)
  local at = string.find(page.top, sign, HEAD + 1, true)
  while at do
    local number = (at - HEAD - 1) / SIGN
    if number >= page.room then return nil end
    if at % SIGN == 1 then
      local place = HEAD + SIGN * page.room + REST * number
      local rest = redis.call('GETRANGE', page.name, place, place + REST - 1)
      local more = string.byte(rest, 10)
      if string.sub(rest, 1, 9) == digest and math.floor(more / 32) == string.byte(key, -12) % 8 then
        return number, rest
      end
    end
    at = string.find(page.top, sign, at + 1, true)
  end
end

-- The rest of a key that has ended, for how many milliseconds it is still remembered, and where.
local function remembered(call, key)
  local known = table_of(call, key)
  local page = known.pages > 0 and open_page(page_of(known, key))
  if not page then return nil end
  local number, rest = search(page, key)
  local left = number and end_of(rest, page.since * MINUTE) - call.ms
  if left and left > 0 then return rest, left, page, number end
end

local function is_dead(rest) return math.floor(string.byte(rest, 10) / 16) % 2 == 1 end

-- Whether an event ended under this token.
local function is_under(rest, token)
  local a, b = string.byte(rest, 10, 11)
  return a % 16 * 256 + b == token % TOKENS
end

-- The events of a page that are not over, their signs and their rests, and the minute before which none of them is.
local function alive(page, ms)
  local events, room = count(page), page.room
  local rests = redis.call('GETRANGE', page.name, HEAD + SIGN * room, HEAD + SIGN * room + REST * events - 1)
  if ms < page.oldest * MINUTE then
    return string.sub(page.top, HEAD + 1, HEAD + SIGN * events), rests, page.oldest
  end
  local kept, kept_rests, first = {}, {}, math.huge
  for number = 0, events - 1 do
    local rest = string.sub(rests, REST * number + 1, REST * (number + 1))
    local ends = end_of(rest, page.since * MINUTE)
    if ends > ms then
      kept[#kept + 1] = string.sub(page.top, HEAD + SIGN * number + 1, HEAD + SIGN * (number + 1))
      kept_rests[#kept_rests + 1] = rest
      if ends < first then first = ends end
    end
  end
  return table.concat(kept), table.concat(kept_rests), math.min(math.floor(first / MINUTE), 4294967295)
end

local function write_page(name, since, till, oldest, signs, rests)
  local size, events = 1, #signs / SIGN
  while ROOMS[size] and ROOMS[size] < events do size = size + 1 end
  local room = ROOMS[size] or events
  local head = struct.pack('>I4I4I4I4', room, since, till, oldest)
  redis.call('SET', name, head .. signs .. string.rep('\0', SIGN * (room - events)) .. rests
    .. string.rep('\0', REST * (room - events)), 'PXAT', int(till * MINUTE))
end

-- Moves what belongs there from the page that is due to a new page.
local function grow(known, ms)
  local number = known.pages
  local half = known.span == number and number or known.span / 2
  known.pages = number + 1
  if known.span < known.pages then known.span = known.span * 2 end
  save_table(known)
  local page = open_page(known.base .. name_of(number - half))
  if not page then return end
  local signs, rests, oldest = alive(page, ms)
  local stay, stay_rests, move, move_rests = {}, {}, {}, {}
  -- All here have the same hash modulo `half`; the bit above tells which of the two pages they belong to.
  local at, bit = 1, half
  while bit >= 256 do at, bit = at + 1, bit / 256 end
  for i = 0, #signs / SIGN - 1 do
    local to, to_rests = stay, stay_rests
    if string.byte(rests, REST * i + at) % (2 * bit) >= bit then to, to_rests = move, move_rests end
    to[#to + 1] = string.sub(signs, SIGN * i + 1, SIGN * (i + 1))
    to_rests[#to_rests + 1] = string.sub(rests, REST * i + 1, REST * (i + 1))
  end
  local since = math.floor(ms / MINUTE)
  write_page(page.name, since, page.till, oldest, table.concat(stay), table.concat(stay_rests))
  write_page(known.base .. name_of(number), since, page.till, oldest, table.concat(move), table.concat(move_rests))
end

-- Moves what is in the last page back to where it came from.
local function shrink(known, ms)
  local number = known.pages - 1
  local half = known.span / 2
  known.pages = number
  if half >= number then known.span = half end
  save_table(known)
  local last = open_page(known.base .. name_of(number))
  if not last then return end
  local signs, rests, oldest = alive(last, ms)
  local till, name = last.till, known.base .. name_of(number - half)
  local page = open_page(name)
  if page then
    local more, more_rests, first = alive(page, ms)
    signs, rests = more .. signs, more_rests .. rests
    oldest, till = math.min(oldest, first), math.max(till, page.till)
  end
  write_page(name, math.floor(ms / MINUTE), till, oldest, signs, rests)
  redis.call('DEL', last.name)
end

-- Remembers how a key has ended; the rest that says so already, if there is one, and then nothing is written.
local function remember(call, key, token, dead, keep)
  local known = table_of(call, key)
  local ms, term = call.ms, term_of(call, keep)
  local ends, unit = term.ends, term.unit
  token = token % TOKENS
  local sign, rest = sign_of(key), string.sub(key, -9)
    .. string.char(string.byte(key, -12) % 8 * 32 + dead * 16 + math.floor(token / 256), token % 256, term.mark)
  if known.pages == 0 then known.pages = 1 end
  local name = page_of(known, key)
  local page = open_page(name)
  local signs, rests, oldest, till = '', '', math.floor(ends / MINUTE), 0
  if page then
    local number, old = search(page, key)
    if number and end_of(old, page.since * MINUTE) > ms then return old end
    local free = count(page)
    -- Marks have 32 values: what is added later than this would be read as over long before.
    if not number and free < page.room and ms < page.since * MINUTE + MARK_UNITS * unit
      and ends <= page.till * MINUTE and page.oldest <= oldest then
      redis.call('SETRANGE', name, HEAD + SIGN * page.room + REST * free, rest)
      redis.call('SETRANGE', name, HEAD + SIGN * free, sign)
      return nil
    end
    local first
    signs, rests, first = alive(page, ms)
    oldest, till = math.min(oldest, first), page.till
  end
  -- Long enough for all that may be added to the page before it is written anew.
  till = math.max(till, math.ceil((ends + MARK_UNITS * unit) / MINUTE))
  if till > known.till then keep_table(known, till + MARK_UNITS * unit / MINUTE) end
  write_page(name, math.floor(ms / MINUTE), till, oldest, signs .. sign, rests .. rest)
  local events = #signs / SIGN + 1
  if events > FULL then
    grow(known, ms)
  elseif events < SPARSE and known.pages > 1 then
    shrink(known, ms)
  end
end

-- Forgets the event of a page that has this number: the last takes its place.
local function forget_one(page, number, ms)
  local signs, rests, oldest = alive(page, ms)
  local place = HEAD + SIGN * page.room + REST * number
  local at = string.find(rests, redis.call('GETRANGE', page.name, place, place + REST - 1), 1, true)
  local before = (at - 1) / REST
  signs = string.sub(signs, 1, SIGN * before) .. string.sub(signs, SIGN * (before + 1) + 1)
  rests = string.sub(rests, 1, at - 1) .. string.sub(rests, at + REST)
  write_page(page.name, math.floor(ms / MINUTE), page.till, oldest, signs, rests)
end

-- The event is remembered from now on, if that is longer.
local function prolong(call, key, keep, rest, left, page, number)
  if tonumber(keep) <= left or not fits(keep) then return end
  local term, ms = term_of(call, keep), call.ms
  if ms < page.since * MINUTE + MARK_UNITS * term.unit and term.ends <= page.till * MINUTE then
    local place = HEAD + SIGN * page.room + REST * number
    redis.call('SETRANGE', page.name, place + REST - 1, string.char(term.mark))
  else
    local a, b = string.byte(rest, 10, 11)
    forget_one(page, number, ms)
    remember(call, key, a % 16 * 256 + b, is_dead(rest) and 1 or 0, keep)
  end
end
