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
-- <frames>
  [16] = {"ACK", {{"largest", "u32"}, {"delay", "u16"}, {"more", "u8"}, {"first", "u16"}}},
  [17] = {"RELIABLE", {{"sequence", "u32"}, {"kind", "u8"}}},
  [18] = {"PING", {}},
  [34] = {"FRAGMENT", {{"id", "u32"}, {"cx", "i32"}, {"cy", "i32"}, {"cz", "i32"}, {"version", "u32"}, {"index", "u16"}, {"count", "u16"}, {"kind", "u8"}, {"encoding", "u8"}, {"flags", "u8"}, {"length", "u16"}}},
  [35] = {"INPUTS", {{"newest", "u32"}, {"count", "u8"}}},
  [36] = {"SNAPSHOT", {{"tick", "u32"}, {"baseline", "u8"}, {"input", "u16"}, {"lead_half_ms", "i8"}}},
  [37] = {"EVENT", {{"number", "u16"}, {"kind", "u16"}, {"tick", "u32"}, {"cx", "i32"}, {"cz", "i32"}, {"x", "u16"}, {"y", "i16"}, {"z", "u16"}, {"reserved", "u16"}, {"value", "u32"}}},
-- </>
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
-- <refusals>
  [1] = {"VERSION", {{"min", "u16"}, {"max", "u16"}}},
  [2] = {"ENCODING", {{"encodings", "u32"}}},
  [3] = {"FLOOD", {}},
-- </>
