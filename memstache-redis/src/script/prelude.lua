-- What all scripts share. Numbers are whole and below 2^53, so that Lua's doubles hold them exactly.
local pack, unpack_from, sub = struct.pack, struct.unpack, string.sub
local clock = redis.call('TIME')
local now_us = clock[1] * 1000000 + clock[2]
local now = math.floor(now_us / 1000)

local function text(number) return string.format('%.0f', number) end

-- The head of an entry: see `Head` for the layout. Nil for what this version cannot read: it counts as absent.
local function head_of(stored)
  if not stored or #stored < 68 or string.byte(stored, 1) ~= 1 then return nil end
  local head = {}
  local flags = string.byte(stored, 2)
  head.present = flags % 2 == 1
  head.negative = math.floor(flags / 2) % 2 == 1
  head.version, head.written, head.fresh, head.hard, head.grace, head.sliding, head.sequence =
    unpack_from('>I8I8I8I8I8I8I8', stored, 3)
  head.filled = sub(stored, 59, 66)
  return head
end

-- The head and the tags of an entry, without its value.
local function without_value(stored)
  return sub(stored, 1, 68 + unpack_from('>I2', stored, 67))
end

-- A server that is full refuses commands that may need memory, unless the script has written before. What needs none, or
-- little and not for long, is written after this: a write that changes nothing.
local function make_way(key) redis.call('DEL', key .. '!') end

local function is_live(head)
  return head ~= nil and head.present and now < head.fresh
end

-- Reads the line of a tenant: its sequence, floor, floor of what is tagged, then floor and last change of each space.
-- A line that is not there hides all that was stored before: what it knew is lost.
local function line_of(key, life, first, count)
  local fields = { 'q', 'f', 'g' }
  for at = first, first + count - 1 do
    fields[#fields + 1] = 'f:' .. ARGV[at]
    fields[#fields + 1] = 'l:' .. ARGV[at]
  end
  local line = redis.call('HMGET', key, unpack(fields))
  if not line[1] then
    redis.call('DEL', key)
    redis.call('HSET', key, 'q', text(now_us), 'f', text(now_us), 'g', text(now_us))
    redis.call('PEXPIRE', key, life)
    line[1], line[2], line[3] = now_us, now_us, now_us
  elseif redis.call('PTTL', key) < life / 2 then
    redis.call('PEXPIRE', key, life)
  end
  for at = 1, #fields do line[at] = tonumber(line[at] or 0) end
  return line
end

-- Writes down what plain reads go by, in one step with what changed. For an hour: then a script looks after the line again.
local function extract(by, key, line)
  redis[by]('SET', key, pack('>I8I8I8', line[1], line[2], line[3]), 'PX', 3600000)
end

local function extract_space(by, key, clear, last)
  redis[by]('SET', key, pack('>I8I8', clear, last), 'PX', 3600000)
end

-- Reads a line by what plain reads go by, which is much cheaper; from the line itself where that is gone. Answers its
-- sequence, and all of it as it is written down. `got` has the values of the keys from `first` on, with the line's place.
local function line_by(got, first, life, spaces, count)
  local written, sequence = '', nil
  for at = first + 1, first + 1 + count do
    if not got[at] then
      local line = line_of(KEYS[#KEYS - 1 - count], life, spaces, count)
      extract('pcall', KEYS[#KEYS - count], line)
      written = pack('>I8I8I8', line[1], line[2], line[3])
      for space = 1, count do
        extract_space('pcall', KEYS[#KEYS - count + space], line[2 + 2 * space], line[3 + 2 * space])
        written = written .. pack('>I8I8', line[2 + 2 * space], line[3 + 2 * space])
      end
      return line[1], written
    end
    written = written .. got[at]
  end
  return unpack_from('>I8', written), written
end

-- Tells listeners by a key that is there for a moment: its name is the message.
local function tell(marker)
  redis.call('SET', marker, '', 'PX', 1000)
  redis.call('DEL', marker)
end

-- A lease: nonce (8), sequence (8), whether somebody waits (1).
local function end_lease(key, lease, prefix)
  redis.call('DEL', key)
  if sub(lease, 17, 17) == '1' then tell(sub(key, 1, prefix) .. 'w' .. sub(key, prefix + 2)) end
end

-- What a write goes by: whether there is a value, and the version of what there is, if this release can read it.
local function version_of(stored)
  if type(stored) ~= 'string' or #stored < 68 or string.byte(stored, 1) ~= 1 then return false, nil end
  local flags, version = unpack_from('>BI8', stored, 2)
  return flags % 2 == 1, version
end

-- The version of a write: above the one before, and in time with the server and the writer, so that it rises also
-- over what was forgotten, and over a failover to a server whose clock is behind. A stamp far ahead is a mistake.
local function next_version(before, stamp)
  local version = now_us
  if stamp > version and stamp < version + 300000000 then version = stamp end
  if before and before >= version then version = before + 1 end
  return version
end

-- Whether a write comes later than its writer waits for it: then it may not undo what happened since.
local function is_late(before, not_after)
  if now_us > not_after then return true end -- guard: fence
  if before and before > not_after then return true end -- guard: version
  return false
end

-- Whether a key was removed since its write was sent: the writer may have given it up by then. One that still waits
-- sends it again, with a stamp that shows that it knows of the removal.
local function is_overtaken(present, before, stamp)
  return before ~= nil and not present and before > stamp
end
