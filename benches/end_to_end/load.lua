-- wrk's side of the end-to-end benches: takes tokens in turn when a file of them is given, so many
-- of them and from so many on, and prints what a run measured as one line of JSON.

function init(args)
  if not args[1] then return end
  local count, at = tonumber(args[2]), tonumber(args[3])
  local requests = {}
  for token in io.lines(args[1]) do
    if #requests == count then break end
    wrk.headers["Authorization"] = "Bearer " .. token
    requests[#requests + 1] = wrk.format()
  end
  function request()
    at = at % #requests + 1
    return requests[at]
  end
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    'RESULT {"requests":%d,"bytes":%d,"duration_us":%d,"p50_us":%d,"p99_us":%d,"p999_us":%d,"bad_status":%d,"socket_errors":%d}\n',
    summary.requests, summary.bytes, summary.duration,
    latency:percentile(50), latency:percentile(99), latency:percentile(99.9),
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
