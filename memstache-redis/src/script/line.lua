-- KEYS: the line. ARGV: life of lines, number of spaces, the spaces. Answers: time, line.
return { now_us, line_of(KEYS[1], tonumber(ARGV[1]), 3, tonumber(ARGV[2])) }
