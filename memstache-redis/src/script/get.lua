-- KEYS: entry and lease of each item; then the line, if it lives here.
-- ARGV: mode (r report, l lease, w lease and wait, p wait and grant nothing), lease ttl, not after, most staleness or -1, sequence, life of lines, length of the prefix,
--   number of spaces, the spaces; then for each item: version to pass by, lease to supersede, nonce.
-- Answers: time, line or false; then for each item: entry or false, state (0 none, 1 granted, 2 busy, 3 late, 4 free),
--   lease, its sequence, its remaining time.
local mode, lease_ttl, not_after, most = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local sequence, life, prefix, spaces = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local items = math.floor(#KEYS / 2)
local answer = { now_us, false }
if spaces > 0 then
  local line = line_of(KEYS[#KEYS], life, 9, spaces)
  answer[2], sequence = line, line[1]
end

local function slide(key, stored, head)
  local left = head.fresh - now
  if head.sliding == 0 or left * 10 >= head.sliding * 9 then return stored end
  local fresh = math.min(now + head.sliding, head.hard)
  if fresh <= head.fresh then return stored end
  make_way(key)
  redis.call('SETRANGE', key, 18, pack('>I8', fresh))
  redis.call('PEXPIRE', key, fresh + head.grace - now)
  return sub(stored, 1, 18) .. pack('>I8', fresh) .. sub(stored, 27)
end

local function grant(key, usable, supersede, nonce)
  local lease = redis.call('GET', key)
  local id = lease and sub(lease, 1, 8)
  if lease and id == nonce then
    return 1, id, unpack_from('>I8', lease, 9), redis.call('PTTL', key)
  end
  if lease and id ~= supersede then
    if (mode == 'w' or mode == 'p') and not usable and sub(lease, 17, 17) == '0' then
      make_way(key)
      redis.call('SETRANGE', key, 16, '1')
    end
    return 2, id, unpack_from('>I8', lease, 9), redis.call('PTTL', key)
  end
  if mode == 'p' then return 4, '', 0, 0 end
  if now_us > not_after then return 3, '', 0, 0 end
  if lease then end_lease(key, lease, prefix) end
  -- Without leases everybody would load.
  make_way(key)
  redis.call('SET', key, nonce .. pack('>I8', sequence) .. '0', 'PX', lease_ttl)
  return 1, nonce, sequence, lease_ttl
end

local at = 9 + spaces
for item = 1, items do
  local key, pass_by = KEYS[item * 2 - 1], ARGV[at]
  local stored = redis.call('GET', key)
  local head = head_of(stored)
  local usable = head ~= nil and head.present and text(head.version) ~= pass_by
  local stale = usable and now >= head.fresh
  if stale and (now >= head.fresh + head.grace or (most >= 0 and now - head.fresh > most)) then usable = false end
  if usable and not stale then stored = slide(key, stored, head) end
  local state, id, seen, left = 0, '', 0, 0
  if mode ~= 'r' and (stale or not usable) then
    state, id, seen, left = grant(KEYS[item * 2], usable, ARGV[at + 1], ARGV[at + 2])
  end
  answer[item + 2] = { usable and stored, state, id, seen, left }
  at = at + 3
end
return answer
