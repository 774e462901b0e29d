-- Shows ninefold's traffic in Wireshark and tshark: NETCODE 1.02 with our extensions, the link, frames, messages.
--
--   tshark -X lua_script:tools/ninefold.lua -o ninefold.key_log:FILE -r capture.pcap
--   wireshark -X lua_script:tools/ninefold.lua capture.pcap        (the key log: Preferences, Protocols, NINEFOLD)
--
-- Sessions are sealed. A development key log opens them; `ninefold-sim demo --capture FILE` writes one beside its
-- capture. A line of it is
--
--   NINEFOLD_TOKEN <nonce> <key up> <key down> <AES key up> <AES key down>
--
-- in hexadecimal: the nonce stands in clear in the connection request, so a session is opened only if its request is in
-- the capture. Wireshark's Lua has neither ChaCha20 nor AES, so both stand below. Tags are not checked: what was
-- forged is shown as nonsense.
--
-- The tables between <...> and </> are written from protocol/src/dictionary.rs; see docs/protocol.md.

local ninefold = Proto("ninefold", "ninefold")
ninefold.prefs.key_log = Pref.string("Key log", "", "The file with the keys of sessions")
ninefold.prefs.port = Pref.uint("UDP port", 40000, "The server's; sessions on others are found by their request")

-- Number to name and fields, in the order of the wire.
local packets = {
-- <packets>
  [0] = {"REQUEST", {}},
  [1] = {"DENIED", {}},
  [2] = {"CHALLENGE", {}},
  [3] = {"RESPONSE", {}},
  [4] = {"KEEP_ALIVE", {}},
  [5] = {"PAYLOAD", {}},
  [6] = {"DISCONNECT", {}},
  [7] = {"AES_PAYLOAD", {}},
  [8] = {"PATH_CHALLENGE", {}},
  [9] = {"PATH_RESPONSE", {}},
  [10] = {"NAMED_KEEP_ALIVE", {}},
  [11] = {"NAMED_PAYLOAD", {}},
  [12] = {"NAMED_AES_PAYLOAD", {}},
  [13] = {"NAMED_DISCONNECT", {}},
-- </>
}
local frames = {
-- <frames>
  [16] = {"ACK", {{"largest", "u32"}, {"delay", "u16"}, {"more", "u8"}, {"first", "u16"}}},
  [17] = {"RELIABLE", {{"sequence", "u32"}, {"kind", "u8"}}},
  [18] = {"PING", {}},
  [34] = {"FRAGMENT", {{"id", "u32"}, {"cx", "i32"}, {"cy", "i32"}, {"cz", "i32"}, {"version", "u32"}, {"index", "u16"}, {"count", "u16"}, {"kind", "u8"}, {"encoding", "u8"}, {"flags", "u8"}, {"length", "u16"}}},
  [35] = {"INPUTS", {{"newest", "u32"}, {"count", "u8"}}},
  [36] = {"SNAPSHOT", {{"tick", "u32"}, {"baseline", "u8"}, {"input", "u16"}, {"lead_half_ms", "i8"}}},
  [37] = {"EVENT", {{"number", "u16"}, {"kind", "u16"}, {"tick", "u32"}, {"cx", "i32"}, {"cz", "i32"}, {"x", "u16"}, {"y", "i16"}, {"z", "u16"}, {"reserved", "u16"}, {"value", "u32"}}},
-- </>
}
local messages = {
-- <messages>
  [1] = {"HELLO", {{"version_min", "u16"}, {"version_max", "u16"}, {"encodings", "u32"}, {"cache_chunks", "u16"}, {"offers", "u16"}}},
  [2] = {"WELCOME", {{"version", "u16"}, {"tick_rate_hz", "u16"}, {"player", "u32"}, {"world_id", "u64"}, {"tick", "u64"}, {"walk_speed_units_s", "u16"}}},
  [3] = {"REFUSE", {{"reason", "u8"}}},
  [4] = {"CHUNK_ENTER", {{"cx", "i32"}, {"cz", "i32"}}},
  [5] = {"CHUNK_UNAVAILABLE", {{"cx", "i32"}, {"cy", "i32"}, {"cz", "i32"}, {"version", "u32"}, {"reason", "u8"}}},
  [6] = {"CHUNK_FORGET", {{"cx", "i32"}, {"cy", "i32"}, {"cz", "i32"}, {"version", "u32"}}},
  [7] = {"CHUNK_REQUEST", {{"cx", "i32"}, {"cy", "i32"}, {"cz", "i32"}}},
  [8] = {"CHUNK_HAVE", {{"cx", "i32"}, {"cy", "i32"}, {"cz", "i32"}, {"content_hash", "u64"}}},
  [9] = {"CHUNK_KNOWN", {{"cx", "i32"}, {"cy", "i32"}, {"cz", "i32"}, {"version", "u32"}}},
-- </>
}
local refusals = {
-- <refusals>
  [1] = {"VERSION", {{"min", "u16"}, {"max", "u16"}}},
  [2] = {"ENCODING", {{"encodings", "u32"}}},
  [3] = {"FLOOD", {}},
-- </>
}

local function number_of(units, name)
  for number, unit in pairs(units) do
    if unit[1] == name then return number end
  end
  error("no " .. name)
end

local REQUEST, KEEP_ALIVE = number_of(packets, "REQUEST"), number_of(packets, "KEEP_ALIVE")
local PAYLOAD, AES_PAYLOAD = number_of(packets, "PAYLOAD"), number_of(packets, "AES_PAYLOAD")
local NAMED_PAYLOAD, NAMED_AES_PAYLOAD = number_of(packets, "NAMED_PAYLOAD"), number_of(packets, "NAMED_AES_PAYLOAD")
-- From here on with a connection id.
local PATH_RESPONSE, NAMED_KEEP_ALIVE = number_of(packets, "PATH_RESPONSE"), number_of(packets, "NAMED_KEEP_ALIVE")
local ACK, RELIABLE = number_of(frames, "ACK"), number_of(frames, "RELIABLE")
local INPUTS, REFUSE = number_of(frames, "INPUTS"), number_of(messages, "REFUSE")
local VERSION = "NETCODE 1.02\0"
local TAG_BYTES, CONNECTION_ID_BYTES, REQUEST_BYTES = 16, 6, 1078

-- Bits -----------------------------------------------------------------------------------------------------

local bits = bit or bit32
local band, bor, bxor, lshift, rshift = bits.band, bits.bor, bits.bxor, bits.lshift, bits.rshift
local WORD = 4294967296

local function rotate(word, by) return bor(lshift(word, by), rshift(word, 32 - by)) end

local function word_at(text, at)
  local a, b, c, d = text:byte(at, at + 3)
  return a + b * 256 + c * 65536 + d * 16777216
end

local function unhex(text)
  return (text:gsub("%x%x", function(pair) return string.char(tonumber(pair, 16)) end))
end

-- `text` with `stream(block number)` over it, 64 or 16 bytes a block.
local function xor_stream(text, block_bytes, stream)
  local out = {}
  for at = 1, #text, block_bytes do
    local block = stream((at - 1) / block_bytes)
    for i = 1, math.min(block_bytes, #text - at + 1) do
      out[#out + 1] = string.char(bxor(text:byte(at + i - 1), block[i]) % 256)
    end
  end
  return table.concat(out)
end

-- ChaCha20 (RFC 8439) --------------------------------------------------------------------------------------

local function quarter(s, a, b, c, d)
  s[a] = (s[a] + s[b]) % WORD; s[d] = rotate(bxor(s[d], s[a]), 16) % WORD
  s[c] = (s[c] + s[d]) % WORD; s[b] = rotate(bxor(s[b], s[c]), 12) % WORD
  s[a] = (s[a] + s[b]) % WORD; s[d] = rotate(bxor(s[d], s[a]), 8) % WORD
  s[c] = (s[c] + s[d]) % WORD; s[b] = rotate(bxor(s[b], s[c]), 7) % WORD
end

local function chacha20(key, nonce, text)
  local start = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574}
  for i = 0, 7 do start[5 + i] = word_at(key, 1 + 4 * i) end
  for i = 0, 2 do start[14 + i] = word_at(nonce, 1 + 4 * i) end
  return xor_stream(text, 64, function(block)
    start[13] = block + 1 -- block 0 is Poly1305's
    local s = {}
    for i = 1, 16 do s[i] = start[i] end
    for _ = 1, 10 do
      quarter(s, 1, 5, 9, 13); quarter(s, 2, 6, 10, 14); quarter(s, 3, 7, 11, 15); quarter(s, 4, 8, 12, 16)
      quarter(s, 1, 6, 11, 16); quarter(s, 2, 7, 12, 13); quarter(s, 3, 8, 9, 14); quarter(s, 4, 5, 10, 15)
    end
    local stream = {}
    for i = 1, 16 do
      local word = (s[i] + start[i]) % WORD
      for shift = 0, 24, 8 do stream[#stream + 1] = band(rshift(word, shift), 255) end
    end
    return stream
  end)
end

-- AES-128 in counter mode, as GCM uses it (FIPS 197, SP 800-38D) ---------------------------------------------

local function double(x) return band(bxor(lshift(x, 1), band(x, 128) ~= 0 and 0x1b or 0), 255) end

local SBOX = {}
do
  local p, q = 1, 1
  repeat
    p = bxor(p, double(p))
    q = bxor(q, lshift(q, 1)); q = bxor(q, lshift(q, 2)); q = band(bxor(q, lshift(q, 4)), 255)
    if band(q, 128) ~= 0 then q = bxor(q, 9) end
    local x = q
    for by = 1, 4 do x = bxor(x, bor(band(lshift(q, by), 255), rshift(q, 8 - by))) end
    SBOX[p] = band(bxor(x, 0x63), 255)
  until p == 1
  SBOX[0] = 0x63
end

local function expand(key)
  local w, round = {key:byte(1, 16)}, 1
  for i = 17, 176, 4 do
    local a, b, c, d = w[i - 4], w[i - 3], w[i - 2], w[i - 1]
    if (i - 1) % 16 == 0 then
      a, b, c, d = bxor(SBOX[b], round), SBOX[c], SBOX[d], SBOX[a]
      round = double(round)
    end
    w[i], w[i + 1], w[i + 2], w[i + 3] = bxor(w[i - 16], a), bxor(w[i - 15], b), bxor(w[i - 14], c), bxor(w[i - 13], d)
  end
  return w
end

local function aes_block(w, s)
  for i = 1, 16 do s[i] = bxor(s[i], w[i]) end
  for round = 1, 10 do
    local t = {}
    for column = 0, 3 do
      for row = 0, 3 do t[1 + 4 * column + row] = SBOX[s[1 + 4 * ((column + row) % 4) + row]] end
    end
    if round < 10 then
      for c = 1, 13, 4 do
        local a, b, d, e = t[c], t[c + 1], t[c + 2], t[c + 3]
        local all = bxor(bxor(a, b), bxor(d, e))
        t[c] = bxor(bxor(a, all), double(bxor(a, b)))
        t[c + 1] = bxor(bxor(b, all), double(bxor(b, d)))
        t[c + 2] = bxor(bxor(d, all), double(bxor(d, e)))
        t[c + 3] = bxor(bxor(e, all), double(bxor(e, a)))
      end
    end
    for i = 1, 16 do s[i] = bxor(t[i], w[16 * round + i]) end
  end
  return s
end

local function aes_ctr(key, nonce, text)
  local w = expand(key)
  return xor_stream(text, 16, function(block)
    local counter, s = block + 2, {nonce:byte(1, 12)} -- 1 is the tag's
    for i = 0, 3 do s[16 - i] = math.floor(counter / 256 ^ i) % 256 end
    return aes_block(w, s)
  end)
end

-- Keys -----------------------------------------------------------------------------------------------------

local keys_by_nonce, sessions, sessions_by_id = {}, {}, {}

local function read_key_log()
  keys_by_nonce = {}
  local file = ninefold.prefs.key_log ~= "" and io.open(ninefold.prefs.key_log)
  if not file then return end
  for line in file:lines() do
    local nonce, up, down, aes_up, aes_down = line:match("^NINEFOLD_TOKEN (%x+) (%x+) (%x+) (%x+) (%x+)")
    if nonce then
      keys_by_nonce[nonce:lower()] = {up = {unhex(up), unhex(aes_up)}, down = {unhex(down), unhex(aes_down)}}
    end
  end
  file:close()
end

local function endpoints(pinfo)
  local from = tostring(pinfo.src) .. " " .. pinfo.src_port
  local to = tostring(pinfo.dst) .. " " .. pinfo.dst_port
  return from, to
end

-- The keys of the packet's direction. A connection id finds them from a new address, too.
local function keys_of(pinfo, connection_id)
  local from, to = endpoints(pinfo)
  local up, down = sessions[from .. " " .. to], sessions[to .. " " .. from]
  if connection_id and not up then
    up = sessions_by_id[connection_id]
    sessions[from .. " " .. to] = up
  elseif connection_id then
    sessions_by_id[connection_id] = up
  end
  if up then return up.keys and up.keys.up end
  return down and down.keys and down.keys.down
end

function ninefold.init()
  sessions, sessions_by_id = {}, {}
  read_key_log()
end

-- Fields ---------------------------------------------------------------------------------------------------

local SCALARS = {u8 = {"uint8", 1}, i8 = {"int8", 1}, u16 = {"uint16", 2}, i16 = {"int16", 2}, u32 = {"uint32", 4},
  i32 = {"int32", 4}, u64 = {"uint64", 8}}
local fields, by_path = {}, {}

local function declare(path, kind, name, ...)
  by_path[path] = ProtoField[kind]("ninefold." .. path, name, ...)
  fields[#fields + 1] = by_path[path]
end

local function names(units)
  local list = {}
  for number, unit in pairs(units) do list[number] = unit[1] end
  return list
end

declare("packet", "uint8", "Packet", base.DEC, names(packets), 0x0f)
declare("sequence", "bytes", "Sequence")
declare("connection_id", "bytes", "Connection id")
declare("request.protocol_id", "uint64", "Protocol id", base.HEX)
declare("request.expires", "uint64", "Expires")
declare("request.nonce", "bytes", "Token nonce")
declare("request.token", "bytes", "Private token")
declare("sealed", "bytes", "Sealed body")
declare("keep_alive.slot", "uint32", "Slot")
declare("keep_alive.slots", "uint32", "Slots")
declare("number", "uint32", "Packet number")
declare("frame", "uint8", "Frame", base.HEX, names(frames))
declare("length", "uint16", "Length")
declare("message", "uint8", "Message", base.DEC, names(messages))
declare("rest", "bytes", "Rest")
declare("ack.gap", "uint16", "Gap")
declare("ack.length", "uint16", "Length")
declare("input.number", "uint32", "Input")
declare("input.move_x", "int16", "move_x")
declare("input.move_z", "int16", "move_z")
declare("input.yaw", "uint16", "yaw")
declare("input.buttons", "uint16", "buttons", base.HEX)
for _, units in ipairs({frames, messages, refusals}) do
  for _, unit in pairs(units) do
    for _, field in ipairs(unit[2]) do
      local path = (units == refusals and "refuse." or "") .. unit[1]:lower() .. "." .. field[1]
      declare(path, SCALARS[field[2]][1], field[1])
    end
  end
end
ninefold.fields = fields

local cut = ProtoExpert.new("ninefold.cut", "ends inside a field", expert.group.MALFORMED, expert.severity.ERROR)
local no_keys = ProtoExpert.new("ninefold.no_keys", "no keys for this session", expert.group.DECRYPTION, expert.severity.NOTE)
ninefold.experts = {cut, no_keys}

-- Adds a unit's fields; tells where it ends, or nil if it is cut off.
local function add_fields(tree, prefix, unit, tvb, at)
  for _, field in ipairs(unit[2]) do
    local bytes = SCALARS[field[2]][2]
    if at + bytes > tvb:len() then
      tree:add_proto_expert_info(cut)
      return nil
    end
    tree:add_le(by_path[prefix .. unit[1]:lower() .. "." .. field[1]], tvb(at, bytes))
    at = at + bytes
  end
  return at
end

local function add_rest(tree, tvb, at)
  if at < tvb:len() then tree:add(by_path["rest"], tvb(at)) end
end

-- Frames ---------------------------------------------------------------------------------------------------

local function add_inputs(tree, tvb, at)
  local first = tvb(0, 4):le_uint() - tvb(4, 1):uint() + 1
  for n = 0, tvb(4, 1):uint() - 1 do
    if at >= tvb:len() then return tree:add_proto_expert_info(cut) end
    local changed = tvb(at, 1):uint()
    local input = tree:add(by_path["input.number"], tvb(at, 1), first + n)
    at = at + 1
    for _, field in ipairs({{1, "move_x"}, {1, "move_z"}, {2, "yaw"}, {4, "buttons"}}) do
      if band(changed, field[1]) ~= 0 then
        if at + 2 > tvb:len() then return tree:add_proto_expert_info(cut) end
        input:add_le(by_path["input." .. field[2]], tvb(at, 2))
        at = at + 2
      end
    end
  end
end

local function add_ranges(tree, tvb, at)
  for _ = 1, tvb(6, 1):uint() do
    if at + 4 > tvb:len() then return tree:add_proto_expert_info(cut) end
    tree:add_le(by_path["ack.gap"], tvb(at, 2))
    tree:add_le(by_path["ack.length"], tvb(at + 2, 2))
    at = at + 4
  end
end

local function add_message(tree, tvb, at)
  local number = tvb(4, 1):uint()
  local message = messages[number]
  tree:add(by_path["message"], tvb(4, 1))
  if not message then return add_rest(tree, tvb, at) end
  tree:append_text(", " .. message[1])
  local start = at
  at = add_fields(tree, "", message, tvb, at)
  local refusal = at and number == REFUSE and refusals[tvb(start, 1):uint()]
  if refusal then at = add_fields(tree, "refuse.", refusal, tvb, at) end
  if at then add_rest(tree, tvb, at) end
  return message[1]
end

-- A link packet; tells the names of what is in it.
local function add_link(tvb, tree)
  local said, at = {}, 4
  if tvb:len() < 4 then
    tree:add_proto_expert_info(cut)
    return said
  end
  tree:add_le(by_path["number"], tvb(0, 4))
  while at < tvb:len() do
    if at + 3 > tvb:len() or at + 3 + tvb(at + 1, 2):le_uint() > tvb:len() then
      tree:add_proto_expert_info(cut)
      return said
    end
    local number, length = tvb(at, 1):uint(), tvb(at + 1, 2):le_uint()
    local frame = frames[number]
    local branch = tree:add(by_path["frame"], tvb(at, 1))
    branch:add_le(by_path["length"], tvb(at + 1, 2))
    local name = frame and frame[1] or string.format("frame 0x%02x", number)
    if length > 0 then
      local body = tvb:range(at + 3, length):tvb()
      local behind = frame and add_fields(branch, "", frame, body, 0)
      if not frame then
        add_rest(branch, body, 0)
      elseif behind and number == INPUTS then
        add_inputs(branch, body, behind)
      elseif behind and number == ACK then
        add_ranges(branch, body, behind)
      elseif behind and number == RELIABLE then
        name = add_message(branch, body, behind) or name
      elseif behind then
        add_rest(branch, body, behind)
      end
    end
    said[#said + 1] = name
    at = at + 3 + length
  end
  return said
end

-- Datagrams ------------------------------------------------------------------------------------------------

local function add_request(tvb, pinfo, tree)
  tree:add_le(by_path["request.protocol_id"], tvb(14, 8))
  tree:add_le(by_path["request.expires"], tvb(22, 8))
  tree:add(by_path["request.nonce"], tvb(30, 24))
  tree:add(by_path["request.token"], tvb(54, 1024))
  local from, to = endpoints(pinfo)
  sessions[from .. " " .. to] = {keys = keys_by_nonce[tvb(30, 24):bytes():tohex():lower()]}
end

local function is_request(tvb)
  return tvb:len() == REQUEST_BYTES and tvb(0, 1):uint() == REQUEST and tvb(1, 13):raw() == VERSION
end

function ninefold.dissector(tvb, pinfo, root)
  if tvb:len() < 1 then return 0 end
  local prefix = tvb(0, 1):uint()
  local kind = prefix % 16
  local packet = packets[kind]
  if not packet or (kind == REQUEST and not is_request(tvb)) then return 0 end
  pinfo.cols.protocol = "ninefold"
  local tree = root:add(ninefold, tvb())
  tree:add(by_path["packet"], tvb(0, 1))
  tree:append_text(", " .. packet[1])
  pinfo.cols.info = packet[1]
  if kind == REQUEST then
    add_request(tvb, pinfo, tree)
    return tvb:len()
  end
  local at, sequence_bytes, connection_id = 1, math.floor(prefix / 16), nil
  if kind >= PATH_RESPONSE then
    if tvb:len() < 1 + CONNECTION_ID_BYTES then return 0 end
    tree:add(by_path["connection_id"], tvb(1, CONNECTION_ID_BYTES))
    connection_id = tvb(1, CONNECTION_ID_BYTES):raw()
    at = 1 + CONNECTION_ID_BYTES
  end
  local body_bytes = tvb:len() - at - sequence_bytes - TAG_BYTES
  if sequence_bytes < 1 or sequence_bytes > 8 or body_bytes < 0 then return 0 end
  tree:add(by_path["sequence"], tvb(at, sequence_bytes))
  local nonce = "\0\0\0\0" .. tvb(at, sequence_bytes):raw() .. string.rep("\0", 8 - sequence_bytes)
  at = at + sequence_bytes
  if body_bytes == 0 then return tvb:len() end
  tree:add(by_path["sealed"], tvb(at, body_bytes))
  local keys = keys_of(pinfo, connection_id)
  if not keys then
    tree:add_proto_expert_info(no_keys)
    return tvb:len()
  end
  local is_aes = kind == AES_PAYLOAD or kind == NAMED_AES_PAYLOAD
  local sealed = tvb(at, body_bytes):raw()
  local open = is_aes and aes_ctr(keys[2], nonce, sealed) or chacha20(keys[1], nonce, sealed)
  local opened = ByteArray.new(open, true):tvb("Opened")
  if is_aes or kind == PAYLOAD or kind == NAMED_PAYLOAD then
    pinfo.cols.info = table.concat(add_link(opened, tree), ", ")
  elseif (kind == KEEP_ALIVE or kind == NAMED_KEEP_ALIVE) and opened:len() == 8 then
    tree:add_le(by_path["keep_alive.slot"], opened(0, 4))
    tree:add_le(by_path["keep_alive.slots"], opened(4, 4))
  else
    add_rest(tree, opened, 0)
  end
  return tvb:len()
end

-- A session begins with a request, whatever the port; from then on its conversation is ours.
ninefold:register_heuristic("udp", function(tvb, pinfo, root)
  local from, to = endpoints(pinfo)
  local is_known = sessions[from .. " " .. to] or sessions[to .. " " .. from]
  if not is_known and not is_request(tvb) then return false end
  ninefold.dissector(tvb, pinfo, root)
  return true
end)

local udp, registered = DissectorTable.get("udp.port"), nil
local function follow_preferences()
  if registered then udp:remove(registered, ninefold) end
  registered = ninefold.prefs.port
  udp:add(registered, ninefold)
  read_key_log()
end
ninefold.prefs_changed = follow_preferences
follow_preferences()
