-- wrk's side of a flood: each request has a token that nobody has sent before, with the header and
-- claims of a good one and a signature by nobody.

local alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
local before, signature

function init(args)
  local token = io.lines(args[1])()
  before, signature = token:match("^(.*%.)([^.]*)$")
  math.randomseed(os.time())
end

function request()
  -- Not the first characters, so that the number stays below the modulus, and not the last, which
  -- has unused bits.
  local changed = {}
  for at = 1, 12 do
    local index = math.random(64)
    changed[at] = alphabet:sub(index, index)
  end
  local middle = table.concat(changed)
  local forged = signature:sub(1, 40) .. middle .. signature:sub(41 + #middle)
  return wrk.format(nil, nil, { ["Authorization"] = "Bearer " .. before .. forged })
end
