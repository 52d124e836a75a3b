-- KEYS: entry and lease of each item; then the line, if it lives here, what plain reads need of it, and of each space.
-- ARGV: whether values are read and written whole (w) or in parts (p), sequence, life of lines, length of the prefix,
--   number of spaces, the spaces; then for each item: its fence (not after, stamp), its terms (condition: a always, n if
--   absent, v if version, l if lease; its argument, version that counts as absent or 0, flags, fresh for, hard deadline
--   in, grace, sliding), and tags with their length and envelope, in parts behind room for a head up to them.
-- Answers: time, line as it is written down or false; then for each item: state (1 stored, 2 refused, 3 late), version,
--   head and tags of what is there, if it refused; packed, which is much cheaper than tables.
-- Each string that is made costs as much as it is long: values that are large are neither read nor put together here.
-- Neighbours mostly have the same fence and terms: they are read once.
local call, whole, sequence = redis.call, ARGV[1] == 'w', tonumber(ARGV[2])
local life, prefix, spaces = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local items = (#KEYS - (spaces > 0 and 2 + spaces or 0)) / 2
local answer, wanted_keys = { now_us, false }, KEYS
if not whole then
  -- In the place of each value its lease, once more.
  wanted_keys = {}
  for at = 1, #KEYS do wanted_keys[at] = KEYS[at < 2 * items and at % 2 == 1 and at + 1 or at] end
end
local got = call('MGET', unpack(wanted_keys))
if spaces > 0 then sequence, answer[2] = line_by(got, 2 * items + 1, life, 6, spaces) end
local under, nobody = pack('>I8', sequence), '\0\0\0\0\0\0\0\0'
local written, fence, terms = {}, nil, nil
local not_after, stamp, when, wanted, absent, front, times, spans, ends
local last, last_packed, last_said

local function said(state, version, seen) return pack('>BI8', state, version) .. (seen or '') end

local function read_fence(given)
  fence, not_after, stamp = given, unpack_from('>I8I8', given)
end

local function read_terms(given)
  local flags, fresh, hard, grace
  when, wanted, absent, flags, fresh, hard, grace = unpack_from('>c1c8I8BI8I8I8', given)
  front, times = '\1' .. string.char(flags), pack('>I8I8I8', now, now + fresh, now + hard)
  terms, spans, ends = given, sub(given, 35, 50), text(fresh + grace)
end

-- Whether a condition is not met, with what is to be said then.
local function refuses(key, stored, lease, version)
  local head = head_of(stored)
  local live = is_live(head) and not head.negative and version ~= absent
  if when == 'n' then return live, live and said(2, version, without_value(whole and stored or call('GET', key))) end
  if when == 'v' then return not (live and version == unpack_from('>I8', wanted)), said(2, version or 0) end
  if lease and sub(lease, 1, 8) == wanted then return false end
  -- A fill that is sent again is recognised as its own.
  return true, said(head and head.present and head.filled == wanted and 1 or 2, version or 0)
end

local function store(key, lease_key, stored, lease, at)
  if ARGV[at] ~= fence then read_fence(ARGV[at]) end
  if ARGV[at + 1] ~= terms then read_terms(ARGV[at + 1]) end
  if not whole then stored = redis.pcall('GETRANGE', key, '0', '67') end
  -- By an earlier item of this call.
  if written[key] then stored, lease = unpack(call('MGET', key, lease_key)) end
  local present, before = version_of(stored)
  if is_late(before, not_after) then return said(3, before or 0) end
  -- A lease shows by itself that nothing was removed since.
  if when ~= 'l' and is_overtaken(present, before, stamp) then return said(3, before) end -- guard: stamp
  local origin = under .. nobody
  if when ~= 'a' then
    local refused, answered = refuses(key, stored, lease, before)
    if refused then return answered end
    if when == 'l' then origin = sub(lease, 9, 16) .. wanted end
  end
  local version = next_version(before, stamp)
  if version ~= last then last, last_packed, last_said = version, pack('>I8', version), said(1, version) end
  local head, value = front .. last_packed .. times .. spans .. origin, ARGV[at + 2]
  if whole then
    call('SET', key, head .. value, 'PX', ends)
  else
    call('SET', key, value, 'PX', ends)
    call('SETRANGE', key, '0', head)
  end
  written[key] = true
  if lease then end_lease(lease_key, lease, prefix) end
  return last_said
end

for item = 1, items do
  local at = 2 * item
  answer[item + 2] = store(KEYS[at - 1], KEYS[at], got[at - 1], got[at], 6 + spaces + (item - 1) * 3)
end
return answer
