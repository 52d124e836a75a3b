-- KEYS: entry and lease of each item; then the line, if it lives here, what plain reads need of it, and of each space.
-- ARGV: not after, stamp, sequence, life of lines, length of the prefix, number of spaces, the spaces; then for each
--   item: condition (a always, n if absent, v if version, l if lease), its argument, version that counts as absent,
--   flags, fresh for, hard deadline in, grace, sliding, tags with their length and envelope.
-- Answers: time, line as it is written down or false; then for each item: state (1 stored, 2 refused, 3 late), version,
--   head and tags of what is there, if it refused; packed, which is much cheaper than tables.
local not_after, stamp, sequence = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local life, prefix, spaces = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local items = (#KEYS - (spaces > 0 and 2 + spaces or 0)) / 2
local answer, got = { now_us, false }, nil
if spaces > 0 then
  -- One item is read with the line; of several, the later may be the same as the earlier.
  local first = items == 1 and 1 or 2 * items + 1
  got = redis.call('MGET', unpack(KEYS, first))
  sequence, answer[2] = line_by(got, items == 1 and 3 or 1, life, 7, spaces)
end

local function said(state, version, seen) return pack('>BI8', state, version) .. (seen or '') end

local function store(key, lease_key, at)
  local found = spaces > 0 and items == 1 and got or redis.call('MGET', key, lease_key)
  local stored, lease = found[1], found[2]
  local head = head_of(stored)
  if is_late(head, not_after) then return said(3, head and head.version or 0) end
  local when, wanted = ARGV[at], ARGV[at + 1]
  -- A lease shows by itself that nothing was removed since.
  if when ~= 'l' and is_overtaken(head, stamp) then return said(3, head.version) end -- guard: stamp
  local live = is_live(head) and not head.negative and (ARGV[at + 2] == '' or text(head.version) ~= ARGV[at + 2])
  local under, filled = sequence, '\0\0\0\0\0\0\0\0'
  if when == 'n' and live then
    return said(2, head.version, without_value(stored))
  elseif when == 'v' and not (live and text(head.version) == wanted) then
    return said(2, head and head.version or 0)
  elseif when == 'l' then
    if not lease or sub(lease, 1, 8) ~= wanted then
      -- A fill that is sent again is recognised as its own.
      if head and head.present and head.filled == wanted then return said(1, head.version) end
      return said(2, head and head.version or 0)
    end
    under, filled = unpack_from('>I8', lease, 9), wanted
  end
  local version = next_version(head, stamp)
  local fresh, hard = now + ARGV[at + 4], now + ARGV[at + 5]
  local grace = tonumber(ARGV[at + 6])
  local made = pack('>BBI8I8I8I8I8I8I8', 1, tonumber(ARGV[at + 3]), version, now, fresh, hard, grace,
    tonumber(ARGV[at + 7]), under)
  redis.call('SET', key, made .. filled .. ARGV[at + 8], 'PX', fresh + grace - now)
  if lease then end_lease(lease_key, lease, prefix) end
  return said(1, version)
end

for item = 1, items do
  answer[item + 2] = store(KEYS[item * 2 - 1], KEYS[item * 2], 7 + spaces + (item - 1) * 9)
end
return answer
