-- KEYS: the records, their last sequence, their log.
-- ARGV: not after, what (p put, d delete), name, expected (* any, - nothing, or a sequence), value, entries of the log.
-- Answers: time, state (1 done, 2 another is there, 3 late), sequence of what was done or is there; -1 for nothing.
local not_after, what, name, expected = tonumber(ARGV[1]), ARGV[2], ARGV[3], ARGV[4]
local stored = redis.call('HGET', KEYS[1], name)
local current = stored and unpack_from('>I8', stored) or -1
if now_us > not_after then return { now_us, 3, current } end -- guard: fence
if expected == '-' and stored or expected ~= '*' and expected ~= '-' and text(current) ~= expected then
  return { now_us, 2, current }
end
if what == 'd' and not stored then return { now_us, 1, -1 } end
local last = tonumber(redis.call('GET', KEYS[2]) or 0)
local sequence = math.max(last + 1, now_us)
redis.call('SET', KEYS[2], text(sequence))
if what == 'p' then
  redis.call('HSET', KEYS[1], name, pack('>I8', sequence) .. ARGV[5])
else
  redis.call('HDEL', KEYS[1], name)
end
redis.call('XADD', KEYS[3], 'MAXLEN', ARGV[6], text(sequence) .. '-0',
  'p', text(last), 'w', what, 'n', name, 'v', ARGV[5])
return { now_us, 1, sequence }
