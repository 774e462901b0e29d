/* The ninefold client library for C.
 *
 * Written by cbindgen from client-c/src; change it there, then
 *     cargo test -p ninefold-client-c --test header -- --ignored
 *
 * Each frame, with a socket of the library's:
 *
 *     ninefold_client_set_input(client, ...);                        what the player wants
 *     ninefold_client_step(client);                                  receive, let time pass, send
 *     while (ninefold_client_poll_event(client, &event) == 0) ...    what happened
 *     ninefold_client_own(client, &own); ninefold_client_entities(client, ...);   draw
 *
 * With the game's own socket, in place of the step:
 *
 *     ninefold_client_handle_datagram(client, now, ...);             for each that came
 *     ninefold_client_handle_timeout(client, now);
 *     while (ninefold_client_poll_transmit(client, now, ...) == 0) ... send it
 *
 * What holds for all functions:
 *
 * - They return a NinefoldStatus: 0 is success, a positive one no mistake (nothing there, buffer too short), a
 *   negative one a mistake, of which ninefold_client_error knows more. None of them blocks but
 *   ninefold_client_wait, and ninefold_client_free of a QUIC client for at most 0.1 s.
 * - All memory is the caller's: buffers, arrays, structs. Nothing that the library returns has to be freed but
 *   clients. Pointers that a function is given are used during the call alone.
 * - A struct with a `size` begins with it: set it to sizeof before each call that fills it. An older program gets
 *   what it knows; after the call `size` says how many bytes the library filled. Structs without it never change.
 * - Arrays come with their `room` and a `count`, which becomes how many there are, whether or not they fitted.
 *   NINEFOLD_STATUS_SHORT says that they did not. Room 0 asks for the count.
 * - A pointer that is NULL, not aligned, or to a struct of a wrong size is refused. Every other pointer must point to
 *   as much memory as the call says.
 * - A client is for one thread at a time; a second call meanwhile is refused with NINEFOLD_STATUS_BUSY.
 *   Different clients know nothing of each other.
 * - No failure inside the library ends the program or unwinds into it: the call returns NINEFOLD_STATUS_PANIC, and
 *   the client can only be freed.
 * - Texts are UTF-8. Lengths are in units: a chunk is 1,024 units wide, a player 56 high. x is east,
 *   y up, z south; a place in the world is 1,024 * cx + x, 1,024 * cz + z of a place in a chunk.
 */

#ifndef NINEFOLD_H
#define NINEFOLD_H

#include <stddef.h>
#include <stdint.h>

// The version of this interface. It changes when a function or a field changes its meaning or goes away; fields at
// the end of structs and new functions come without.
#define NINEFOLD_ABI_VERSION 1

// The player jumps, if it stands.
#define NINEFOLD_BUTTON_JUMP 1

// The player opens or closes the door ahead.
#define NINEFOLD_BUTTON_USE 2

// A `waited_us` of a chunk that was not awaited.
#define NINEFOLD_NOT_AWAITED UINT64_MAX

// A time or a number that is not known, or too far off to matter.
#define NINEFOLD_UNKNOWN INT64_MAX

// Bytes that a buffer for ninefold_client_poll_transmit must have.
#define NINEFOLD_DATAGRAM_BYTES_MAX 1231

// What a function returns. 0 is success, what is positive is no mistake, and what is negative is one.
enum NinefoldStatus
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // Done.
  NINEFOLD_STATUS_OK = 0,
  // There is nothing (more) of this now.
  NINEFOLD_STATUS_NOTHING = 1,
  // There is more than the buffer has room for; the count says how much, the buffer holds what fitted.
  NINEFOLD_STATUS_SHORT = 2,
  // A pointer is NULL that must not be.
  NINEFOLD_STATUS_NULL = -1,
  // A pointer is not aligned for its type.
  NINEFOLD_STATUS_MISALIGNED = -2,
  // A struct's `size` is smaller than any version of it has been. Set it to sizeof before the call.
  NINEFOLD_STATUS_SIZE = -3,
  // A number or text is out of its range; the client's error text says which.
  NINEFOLD_STATUS_ARGUMENT = -4,
  // The token is none.
  NINEFOLD_STATUS_TOKEN = -5,
  // The address or the fingerprint of a server cannot be read.
  NINEFOLD_STATUS_ADDRESS = -6,
  // The folder for chunks cannot be used.
  NINEFOLD_STATUS_STORE = -7,
  // A socket or the system failed.
  NINEFOLD_STATUS_SYSTEM = -8,
  // The function is for clients of the other sort: with a socket of their own, or without.
  NINEFOLD_STATUS_KIND = -9,
  // The client is in another call, on another thread or further up.
  NINEFOLD_STATUS_BUSY = -10,
  // A call failed inside the library; the client can only be freed now. A bug: please report it.
  NINEFOLD_STATUS_PANIC = -11,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum NinefoldStatus NinefoldStatus;
#else
typedef int32_t NinefoldStatus;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// What happened. More kinds may come: ignore those that you do not know.
enum NinefoldEventKind
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // Nothing.
  NINEFOLD_EVENT_KIND_NONE = 0,
  // The server let us in: `tick_rate_hz`, `player`, `world_id`, `tick`.
  NINEFOLD_EVENT_KIND_WELCOME = 1,
  // The player stands in another chunk, `cx` and `cz`; `is_present` says whether it is here.
  NINEFOLD_EVENT_KIND_ENTERED = 2,
  // A chunk is here: `cx`, `cz`, `version`, `encoded_bytes`, `waited_us`.
  NINEFOLD_EVENT_KIND_CHUNK_READY = 3,
  // A chunk, `cx` and `cz`, cannot be had; a flat, safe one stands in for it.
  NINEFOLD_EVENT_KIND_CHUNK_UNAVAILABLE = 4,
  // The session is over: `end`. ninefold_client_error has words.
  NINEFOLD_EVENT_KIND_ENDED = 5,
  // An entity came near: `entity`, `entity_id`, `what`.
  NINEFOLD_EVENT_KIND_ENTITY_ENTERED = 6,
  // An entity is no longer near: `entity`, `entity_id`.
  NINEFOLD_EVENT_KIND_ENTITY_LEFT = 7,
  // Something happened near the player, `what`, once each: at `x`, `y`, `z` in the chunk `cx`, `cz`, in the server's `tick`
  // (its low 32 bits), with `value`. Below 256 `what` is the library's: 1 a door was opened, 2 a door was closed, `value` is
  // its number in the chunk. From there on it is the game's.
  NINEFOLD_EVENT_KIND_HAPPENED = 8,
  // The player is suddenly elsewhere.
  NINEFOLD_EVENT_KIND_TELEPORTED = 9,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum NinefoldEventKind NinefoldEventKind;
#else
typedef uint32_t NinefoldEventKind;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// Why a session ended.
enum NinefoldEnd
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // It has not.
  NINEFOLD_END_NONE = 0,
  // The token expired before a server let us in.
  NINEFOLD_END_TOKEN_EXPIRED = 1,
  // No server answered.
  NINEFOLD_END_NO_ANSWER = 2,
  // The server has no room.
  NINEFOLD_END_DENIED = 3,
  // Nothing was heard for as long as the token allows.
  NINEFOLD_END_TIMED_OUT = 4,
  // One side said goodbye.
  NINEFOLD_END_DISCONNECTED = 5,
  // The server closed the connection, or did not take the token.
  NINEFOLD_END_CLOSED = 6,
  // The server does not let this client in: another version, or too many inputs.
  NINEFOLD_END_REFUSED = 7,
  // The server no longer acknowledges what this client says.
  NINEFOLD_END_UNRESPONSIVE = 8,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum NinefoldEnd NinefoldEnd;
#else
typedef uint32_t NinefoldEnd;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// What is in the way, or at a place.
enum NinefoldHit
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // Nothing: air.
  NINEFOLD_HIT_NONE = 0,
  // Rock of the chunk `cx`, `cz`.
  NINEFOLD_HIT_ROCK = 1,
  // A closed door of that chunk: `door`.
  NINEFOLD_HIT_DOOR = 2,
  // That chunk is not here.
  NINEFOLD_HIT_MISSING = 3,
  // The end of the world, or no place at all.
  NINEFOLD_HIT_OUTSIDE = 4,
  // Nothing, as far as a trace goes.
  NINEFOLD_HIT_REACH = 5,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum NinefoldHit NinefoldHit;
#else
typedef uint32_t NinefoldHit;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// A client. What it points to is the library's.
typedef struct NinefoldClient NinefoldClient;

// What a client is told at its start. Let ninefold_config_default fill it, then change what you like.
typedef struct NinefoldConfig {
  // sizeof(NinefoldConfig), set by the program.
  uint32_t size;
  // Chunks that it keeps in memory, at least 18.
  uint32_t cache_chunks_max;
  // Seconds since the Unix epoch at the time that you call 0. Only for ninefold_client_new; clients with a
  // socket of their own ask the system.
  uint64_t unix_s_at_zero;
  // Where to keep chunks from one session to the next, in UTF-8; NULL for nowhere. The folder is made if
  // there is none, and should hold nothing else.
  const char *store_folder;
  // Bytes of all files there.
  uint64_t store_bytes_max;
  // Files there.
  uint32_t store_files_max;
  // Whether chunks come as recipes (1) or as compiled trees (0): a third of the bytes, for a tenth of a
  // millisecond of work a chunk.
  uint32_t recipes;
} NinefoldConfig;

// Something that happened. Fields that are not of its kind are 0.
typedef struct NinefoldEvent {
  // sizeof(NinefoldEvent), set by the program before each call.
  uint32_t size;
  // What happened.
  NinefoldEventKind kind;
  // The chunk's column.
  int32_t cx;
  // The chunk's row.
  int32_t cz;
  // The chunk's version.
  uint32_t version;
  // 1 if the chunk that was entered is here.
  uint32_t is_present;
  // Bytes that the chunk had on the wire; 0 if it came from the store.
  uint64_t encoded_bytes;
  // How long the chunk was awaited, microseconds, or NINEFOLD_NOT_AWAITED.
  uint64_t waited_us;
  // Why the session ended.
  NinefoldEnd end;
  // The server's ticks a second.
  uint32_t tick_rate_hz;
  // Which world it is: the same number, the same chunks.
  uint64_t world_id;
  // The server's tick when it let us in.
  uint64_t tick;
  // Our number among the players.
  uint32_t player;
  // The entity's index while it is near; another one may have it later.
  uint32_t entity;
  // Who the entity is, for ever.
  uint64_t entity_id;
  // What the entity is, or what happened.
  uint32_t what;
  // More about what happened.
  uint32_t value;
  // Where it happened: eastward in the chunk, units.
  float x;
  // Upward.
  float y;
  // Southward in the chunk.
  float z;
  // 0.
  uint32_t reserved;
} NinefoldEvent;

// The player as it is to be shown now: moved on at once by what it wants, smooth between two ticks.
typedef struct NinefoldOwn {
  // sizeof(NinefoldOwn), set by the program.
  uint32_t size;
  // The column of the chunk that it stands in.
  int32_t cx;
  // Its row.
  int32_t cz;
  // 1 if it stands.
  uint32_t on_ground;
  // The middle between its feet: eastward in the world, units.
  double x;
  // Upward.
  double y;
  // Southward.
  double z;
  // How fast it moves eastward, units per second.
  double velocity_x;
  // Upward.
  double velocity_y;
  // Southward.
  double velocity_z;
  // What the game has to say of it.
  uint32_t state;
  // Where it looks, 65,536 to the full turn: 0 is east, a quarter is south.
  uint16_t yaw;
  // 0.
  uint16_t reserved;
} NinefoldOwn;

// Somebody or something else near the player, as it is to be shown now. Its layout never changes.
typedef struct NinefoldEntity {
  // Who it is, for ever.
  uint64_t id;
  // Its index while it is near; another one may have it later.
  uint32_t index;
  // What it is; the game's numbers.
  uint16_t kind;
  // Where it looks, 65,536 to the full turn: 0 is east, a quarter is south.
  uint16_t yaw;
  // Eastward in the world, units.
  double x;
  // Upward.
  double y;
  // Southward.
  double z;
  // How fast it moves eastward, units per second.
  float velocity_x;
  // Upward.
  float velocity_y;
  // Southward.
  float velocity_z;
  // What the game has to say of it.
  uint32_t state;
} NinefoldEntity;

// How the session is: counts since the client was made, and measures of now. Shares are 0 to 1.
typedef struct NinefoldStats {
  // sizeof(NinefoldStats), set by the program.
  uint32_t size;
  // 1 while a server has let us in.
  uint32_t is_connected;
  // Round trip, smoothed, microseconds; 0 until it was measured.
  uint64_t rtt_us;
  // Its mean deviation, microseconds.
  uint64_t rtt_jitter_us;
  // How late snapshots come in the mean, microseconds.
  uint64_t snapshot_jitter_us;
  // Packets to the server that were lost, of those of the last second.
  double loss_up;
  // Packets from the server that were lost, of those of the last second.
  double loss_down;
  // Bytes of packets sent in the last second, per second.
  uint64_t bytes_up_per_s;
  // Bytes of packets received in the last second, per second.
  uint64_t bytes_down_per_s;
  // How far others are shown behind the newest that could be known of them, microseconds.
  uint64_t interpolation_delay_us;
  // How early inputs come at the server, microseconds: the least of its last second, negative when they are late, or
  // NINEFOLD_UNKNOWN.
  int64_t input_lead_us;
  // Microseconds until the player, as it moves, comes to a chunk that is not here, or NINEFOLD_UNKNOWN.
  int64_t edge_us;
  // Snapshots that said of the player what was predicted.
  uint64_t confirmations;
  // Snapshots that said otherwise.
  uint64_t corrections;
  // How far the last correction went, units.
  double prediction_error;
  // How far the worst went, units.
  double prediction_error_worst;
  // Entities that are near.
  uint64_t entities;
  // Chunks held.
  uint64_t chunks_held;
  // Chunks of the ring that are not here.
  uint64_t chunks_wanted;
  // Chunks that came over the wire.
  uint64_t chunks_received;
  // Chunks that came out of the store instead.
  uint64_t chunks_from_store;
  // Chunks that came damaged, from wherever, and were asked for again.
  uint64_t chunks_damaged;
  // Moves into another chunk.
  uint64_t crossings;
  // Those into a chunk that was not here.
  uint64_t crossings_without_chunk;
  // Datagrams received from the server.
  uint64_t datagrams_in;
  // Bytes of those.
  uint64_t bytes_in;
  // Datagrams sent.
  uint64_t datagrams_out;
  // Bytes of those.
  uint64_t bytes_out;
} NinefoldStats;

// Where a datagram comes from or goes to. Its layout never changes.
typedef struct NinefoldAddress {
  // In network order; of IPv4 the first four bytes count.
  uint8_t ip[16];
  // In the machine's own order.
  uint16_t port;
  // 4 or 6.
  uint8_t version;
  // 0.
  uint8_t reserved;
} NinefoldAddress;

// A point in a chunk, in units from its corner: eastward, upward, southward. Its layout never changes.
typedef struct NinefoldPoint {
  // Eastward, 0 to 1,024.
  float x;
  // Upward.
  float y;
  // Southward, 0 to 1,024.
  float z;
} NinefoldPoint;

// A rectangle of a chunk. Its front is the air. Its layout never changes.
typedef struct NinefoldFace {
  // Counter-clockwise seen from the front.
  struct NinefoldPoint corners[4];
  // The way that it faces, of length 1.
  struct NinefoldPoint normal;
  // What it is made of.
  uint32_t material;
} NinefoldFace;

// A triangle of a chunk's mesh. Its layout never changes.
typedef struct NinefoldTriangle {
  // Indices of vertices, counter-clockwise seen from the front.
  uint16_t vertices[3];
  // Index of its face, which knows normal and material.
  uint16_t face;
} NinefoldTriangle;

// A door of a chunk. Its layout never changes.
typedef struct NinefoldDoor {
  // The low corner of the closed door.
  struct NinefoldPoint low;
  // The high corner.
  struct NinefoldPoint high;
  // 1 if it stands open. Known of the nine chunks around the player; doors of others count as closed.
  uint32_t is_open;
} NinefoldDoor;

// A lamp of a chunk. Its layout never changes.
typedef struct NinefoldLight {
  // Where.
  struct NinefoldPoint at;
  // Where its light ends, units.
  float radius;
  // Red, green, blue.
  uint8_t colour[3];
  // 0.
  uint8_t reserved;
} NinefoldLight;

// How far a box came.
typedef struct NinefoldTrace {
  // sizeof(NinefoldTrace), set by the program.
  uint32_t size;
  // What was in the way.
  NinefoldHit hit;
  // The column of its chunk.
  int32_t cx;
  // The row of its chunk.
  int32_t cz;
  // The door's number in its chunk.
  uint32_t door;
  // 1 if the box was in something at once; then it goes nowhere.
  uint32_t started_inside;
  // Of the way, 0 to 1.
  double fraction;
  // Where the middle of the box came to rest, in the world.
  double x;
  // Upward.
  double y;
  // Southward.
  double z;
  // The way that the surface faces; 0, 0, 0 if nothing was hit.
  struct NinefoldPoint normal;
  // 0.
  uint32_t reserved;
} NinefoldTrace;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// The version of the interface that the library has: a program compares it with NINEFOLD_ABI_VERSION.
uint32_t ninefold_abi_version(void);

// Fills a configuration with what most games want. Set its `size` before.
NinefoldStatus ninefold_config_default(struct NinefoldConfig *config);

// Ends a client: says goodbye to the server if there is a session, and gives back everything. NULL is no mistake.
// No other call may be under way, and none may follow.
void ninefold_client_free(struct NinefoldClient *client);

// Why the last call that failed on this client did so, in words, terminated; with `client` NULL, why this
// thread could not make one. Writes at most `room` bytes. `length`, which may be NULL, becomes the length of
// the whole text without its end.
//
// Returns NINEFOLD_STATUS_SHORT when the text was cut off.
NinefoldStatus ninefold_client_error(const struct NinefoldClient *client,
                                     char *buffer,
                                     size_t room,
                                     size_t *length);

// The next event. Call it until it returns NINEFOLD_STATUS_NOTHING.
NinefoldStatus ninefold_client_poll_event(struct NinefoldClient *client,
                                          struct NinefoldEvent *event);

// Says what the player wants from now on, at any time and as often as you like: a wish of -1 to 1 eastward and
// southward (a longer one than 1 is shortened), where it looks (65,536 to the full turn, 0 is east, a quarter is south), and
// the buttons that are held: NINEFOLD_BUTTON_JUMP, NINEFOLD_BUTTON_USE, and the game's own from 16 on. Each tick takes the newest; a
// button that was pressed and released between two ticks counts as pressed.
NinefoldStatus ninefold_client_set_input(struct NinefoldClient *client,
                                         double move_x,
                                         double move_z,
                                         uint16_t yaw,
                                         uint16_t buttons);

// The player as it is to be shown now. NINEFOLD_STATUS_NOTHING before it is in the world.
NinefoldStatus ninefold_client_own(struct NinefoldClient *client, struct NinefoldOwn *own);

// Who and what is near, ascending by index, at most `room` of them; `entities` may be NULL where `room` is 0. `count`
// becomes how many there are. NINEFOLD_EVENT_KIND_ENTITY_ENTERED was told of each, and NINEFOLD_EVENT_KIND_ENTITY_LEFT was not.
NinefoldStatus ninefold_client_entities(struct NinefoldClient *client,
                                        struct NinefoldEntity *entities,
                                        size_t room,
                                        size_t *count);

// How the session is.
NinefoldStatus ninefold_client_stats(struct NinefoldClient *client, struct NinefoldStats *stats);

// Makes a client with a UDP socket of its own, which begins to connect to the servers that the token lists with
// its first ninefold_client_step. `token` is the connect token: its 2,048 bytes, or their base64. `config` may be
// NULL. On failure `*client` is NULL, and ninefold_client_error(NULL, ...) has words.
NinefoldStatus ninefold_client_udp(const struct NinefoldConfig *config,
                                   const uint8_t *token_bytes,
                                   size_t token_length,
                                   struct NinefoldClient **client);

// Makes a client that connects over QUIC to `server`, such as "203.0.113.9:4433" or "[2001:db8::9]:4433", and
// trusts the one certificate whose SHA-256 is `fingerprint`, 64 hexadecimal digits. It has a thread of its
// own. The rest is as with ninefold_client_udp.
NinefoldStatus ninefold_client_quic(const struct NinefoldConfig *config,
                                    const uint8_t *token_bytes,
                                    size_t token_length,
                                    const char *server,
                                    const char *fingerprint,
                                    struct NinefoldClient **client);

// Makes a client without a socket or a clock: the game hands it datagrams and the time, in microseconds from any
// origin, never backwards. `config->unix_s_at_zero` must say what time that origin is. The rest is as with
// ninefold_client_udp.
NinefoldStatus ninefold_client_new(const struct NinefoldConfig *config,
                                   const uint8_t *token_bytes,
                                   size_t token_length,
                                   uint64_t now_us,
                                   struct NinefoldClient **client);

// One frame of a client with a socket of its own: takes what came, lets time pass, sends what there is to say.
// Never waits. NINEFOLD_STATUS_SYSTEM means that the socket cannot be read now; the session lives on as long as
// its token allows.
NinefoldStatus ninefold_client_step(struct NinefoldClient *client);

// Waits until something has come for a client with a socket of its own, or it has something to do, at most so long, and
// maybe less. For programs without a frame loop: step after it.
NinefoldStatus ninefold_client_wait(struct NinefoldClient *client,
                                    uint64_t at_most_us);

// Goes on from another port, as after a change of network; for a client with a socket of its own.
NinefoldStatus ninefold_client_rebind(struct NinefoldClient *client);

// Takes one datagram that came for a client without a socket. It is decrypted in place, so that the bytes are
// others afterwards. What is not from the server is ignored.
NinefoldStatus ninefold_client_handle_datagram(struct NinefoldClient *client,
                                               uint64_t now_us,
                                               const struct NinefoldAddress *from,
                                               uint8_t *datagram,
                                               size_t length);

// Lets time pass for a client without a socket: once per frame, after the datagrams that came. What is asked after it
// is answered as of this time.
NinefoldStatus ninefold_client_handle_timeout(struct NinefoldClient *client,
                                              uint64_t now_us);

// The next datagram that a client without a socket has to send: its bytes go to the front of `buffer`, which has
// `room` of at least NINEFOLD_DATAGRAM_BYTES_MAX bytes, their number to `length`, where to, to `to`. Call it after
// ninefold_client_handle_timeout until it returns NINEFOLD_STATUS_NOTHING.
NinefoldStatus ninefold_client_poll_transmit(struct NinefoldClient *client,
                                             uint64_t now_us,
                                             struct NinefoldAddress *to,
                                             uint8_t *buffer,
                                             size_t room,
                                             size_t *length);

// Ends the session. A client with a socket of its own says goodbye at once; one without has it to send. Freeing a
// client with a socket does the same.
NinefoldStatus ninefold_client_leave(struct NinefoldClient *client);

// A text for a status, in English, for ever valid; never NULL. Takes an int32_t, so that any number will do.
const char *ninefold_status_text(int32_t status);

// The rectangles of a chunk, at most `room` of them; `faces` may be NULL where `room` is 0. `count` becomes how
// many there are. NINEFOLD_STATUS_NOTHING if the chunk is not here.
NinefoldStatus ninefold_chunk_faces(struct NinefoldClient *client,
                                    int32_t cx,
                                    int32_t cz,
                                    struct NinefoldFace *faces,
                                    size_t room,
                                    size_t *count);

// The triangles of a chunk, without cracks, over its vertices: at most `vertices_room` and `triangles_room` of
// them; either may be NULL where its room is 0. The counts become how many there are. Asking once without room and
// once with costs no more than asking once. NINEFOLD_STATUS_NOTHING if the chunk is not here.
NinefoldStatus ninefold_chunk_mesh(struct NinefoldClient *client,
                                   int32_t cx,
                                   int32_t cz,
                                   struct NinefoldPoint *vertices,
                                   size_t vertices_room,
                                   size_t *vertices_count,
                                   struct NinefoldTriangle *triangles,
                                   size_t triangles_room,
                                   size_t *triangles_count);

// The doors of a chunk, as ninefold_chunk_faces gives its rectangles; a door's index is its number.
NinefoldStatus ninefold_chunk_doors(struct NinefoldClient *client,
                                    int32_t cx,
                                    int32_t cz,
                                    struct NinefoldDoor *doors,
                                    size_t room,
                                    size_t *count);

// The lamps of a chunk, as ninefold_chunk_faces gives its rectangles.
NinefoldStatus ninefold_chunk_lights(struct NinefoldClient *client,
                                     int32_t cx,
                                     int32_t cz,
                                     struct NinefoldLight *lights,
                                     size_t room,
                                     size_t *count);

// Moves a box through the chunks that are here and says what stops it: its middle goes from `from` towards `to`
// (each x, y, z in the world, units), with `half` from its middle to its sides (0, 0, 0 for a line of sight).
// Chunks that are not here are solid, and doors are as they are known. The same as the server reckons, to the bit.
NinefoldStatus ninefold_client_trace(struct NinefoldClient *client,
                                     const double *from,
                                     const double *to,
                                     const double *half,
                                     struct NinefoldTrace *out);

// What is at a place (x, y, z in the world): NINEFOLD_HIT_NONE is air.
NinefoldStatus ninefold_client_contents(struct NinefoldClient *client,
                                        const double *at,
                                        NinefoldHit *out);

// A text for a status, in English, for ever valid; never NULL. Takes an int32_t, so that any number will do.
const char *ninefold_status_text(int32_t status);

// Fills a configuration with what most games want. Set its `size` before.
NinefoldStatus ninefold_config_default(struct NinefoldConfig *config);

// Ends a client: says goodbye to the server if there is a session, and gives back everything. NULL is no mistake.
// No other call may be under way, and none may follow.
void ninefold_client_free(struct NinefoldClient *client);

// Why the last call that failed on this client did so, in words, terminated; with `client` NULL, why this
// thread could not make one. Writes at most `room` bytes. `length`, which may be NULL, becomes the length of
// the whole text without its end.
//
// Returns NINEFOLD_STATUS_SHORT when the text was cut off.
NinefoldStatus ninefold_client_error(const struct NinefoldClient *client,
                                     char *buffer,
                                     size_t room,
                                     size_t *length);

// Makes a client with a UDP socket of its own, which begins to connect to the servers that the token lists with
// its first ninefold_client_step. `token` is the connect token: its 2,048 bytes, or their base64. `config` may be
// NULL. On failure `*client` is NULL, and ninefold_client_error(NULL, ...) has words.
NinefoldStatus ninefold_client_udp(const struct NinefoldConfig *config,
                                   const uint8_t *token_bytes,
                                   size_t token_length,
                                   struct NinefoldClient **client);

// Makes a client that connects over QUIC to `server`, such as "203.0.113.9:4433" or "[2001:db8::9]:4433", and
// trusts the one certificate whose SHA-256 is `fingerprint`, 64 hexadecimal digits. It has a thread of its
// own. The rest is as with ninefold_client_udp.
NinefoldStatus ninefold_client_quic(const struct NinefoldConfig *config,
                                    const uint8_t *token_bytes,
                                    size_t token_length,
                                    const char *server,
                                    const char *fingerprint,
                                    struct NinefoldClient **client);

// Makes a client without a socket or a clock: the game hands it datagrams and the time, in microseconds from any
// origin, never backwards. `config->unix_s_at_zero` must say what time that origin is. The rest is as with
// ninefold_client_udp.
NinefoldStatus ninefold_client_new(const struct NinefoldConfig *config,
                                   const uint8_t *token_bytes,
                                   size_t token_length,
                                   uint64_t now_us,
                                   struct NinefoldClient **client);

// One frame of a client with a socket of its own: takes what came, lets time pass, sends what there is to say.
// Never waits. NINEFOLD_STATUS_SYSTEM means that the socket cannot be read now; the session lives on as long as
// its token allows.
NinefoldStatus ninefold_client_step(struct NinefoldClient *client);

// Waits until something has come for a client with a socket of its own, or it has something to do, at most so long, and
// maybe less. For programs without a frame loop: step after it.
NinefoldStatus ninefold_client_wait(struct NinefoldClient *client,
                                    uint64_t at_most_us);

// Goes on from another port, as after a change of network; for a client with a socket of its own.
NinefoldStatus ninefold_client_rebind(struct NinefoldClient *client);

// Takes one datagram that came for a client without a socket. It is decrypted in place, so that the bytes are
// others afterwards. What is not from the server is ignored.
NinefoldStatus ninefold_client_handle_datagram(struct NinefoldClient *client,
                                               uint64_t now_us,
                                               const struct NinefoldAddress *from,
                                               uint8_t *datagram,
                                               size_t length);

// Lets time pass for a client without a socket: once per frame, after the datagrams that came. What is asked after it
// is answered as of this time.
NinefoldStatus ninefold_client_handle_timeout(struct NinefoldClient *client,
                                              uint64_t now_us);

// The next datagram that a client without a socket has to send: its bytes go to the front of `buffer`, which has
// `room` of at least NINEFOLD_DATAGRAM_BYTES_MAX bytes, their number to `length`, where to, to `to`. Call it after
// ninefold_client_handle_timeout until it returns NINEFOLD_STATUS_NOTHING.
NinefoldStatus ninefold_client_poll_transmit(struct NinefoldClient *client,
                                             uint64_t now_us,
                                             struct NinefoldAddress *to,
                                             uint8_t *buffer,
                                             size_t room,
                                             size_t *length);

// Ends the session. A client with a socket of its own says goodbye at once; one without has it to send. Freeing a
// client with a socket does the same.
NinefoldStatus ninefold_client_leave(struct NinefoldClient *client);

// The next event. Call it until it returns NINEFOLD_STATUS_NOTHING.
NinefoldStatus ninefold_client_poll_event(struct NinefoldClient *client,
                                          struct NinefoldEvent *event);

// Says what the player wants from now on, at any time and as often as you like: a wish of -1 to 1 eastward and
// southward (a longer one than 1 is shortened), where it looks (65,536 to the full turn, 0 is east, a quarter is south), and
// the buttons that are held: NINEFOLD_BUTTON_JUMP, NINEFOLD_BUTTON_USE, and the game's own from 16 on. Each tick takes the newest; a
// button that was pressed and released between two ticks counts as pressed.
NinefoldStatus ninefold_client_set_input(struct NinefoldClient *client,
                                         double move_x,
                                         double move_z,
                                         uint16_t yaw,
                                         uint16_t buttons);

// The player as it is to be shown now. NINEFOLD_STATUS_NOTHING before it is in the world.
NinefoldStatus ninefold_client_own(struct NinefoldClient *client, struct NinefoldOwn *own);

// Who and what is near, ascending by index, at most `room` of them; `entities` may be NULL where `room` is 0. `count`
// becomes how many there are. NINEFOLD_EVENT_KIND_ENTITY_ENTERED was told of each, and NINEFOLD_EVENT_KIND_ENTITY_LEFT was not.
NinefoldStatus ninefold_client_entities(struct NinefoldClient *client,
                                        struct NinefoldEntity *entities,
                                        size_t room,
                                        size_t *count);

// How the session is.
NinefoldStatus ninefold_client_stats(struct NinefoldClient *client, struct NinefoldStats *stats);

// The rectangles of a chunk, at most `room` of them; `faces` may be NULL where `room` is 0. `count` becomes how
// many there are. NINEFOLD_STATUS_NOTHING if the chunk is not here.
NinefoldStatus ninefold_chunk_faces(struct NinefoldClient *client,
                                    int32_t cx,
                                    int32_t cz,
                                    struct NinefoldFace *faces,
                                    size_t room,
                                    size_t *count);

// The triangles of a chunk, without cracks, over its vertices: at most `vertices_room` and `triangles_room` of
// them; either may be NULL where its room is 0. The counts become how many there are. Asking once without room and
// once with costs no more than asking once. NINEFOLD_STATUS_NOTHING if the chunk is not here.
NinefoldStatus ninefold_chunk_mesh(struct NinefoldClient *client,
                                   int32_t cx,
                                   int32_t cz,
                                   struct NinefoldPoint *vertices,
                                   size_t vertices_room,
                                   size_t *vertices_count,
                                   struct NinefoldTriangle *triangles,
                                   size_t triangles_room,
                                   size_t *triangles_count);

// The doors of a chunk, as ninefold_chunk_faces gives its rectangles; a door's index is its number.
NinefoldStatus ninefold_chunk_doors(struct NinefoldClient *client,
                                    int32_t cx,
                                    int32_t cz,
                                    struct NinefoldDoor *doors,
                                    size_t room,
                                    size_t *count);

// The lamps of a chunk, as ninefold_chunk_faces gives its rectangles.
NinefoldStatus ninefold_chunk_lights(struct NinefoldClient *client,
                                     int32_t cx,
                                     int32_t cz,
                                     struct NinefoldLight *lights,
                                     size_t room,
                                     size_t *count);

// Moves a box through the chunks that are here and says what stops it: its middle goes from `from` towards `to`
// (each x, y, z in the world, units), with `half` from its middle to its sides (0, 0, 0 for a line of sight).
// Chunks that are not here are solid, and doors are as they are known. The same as the server reckons, to the bit.
NinefoldStatus ninefold_client_trace(struct NinefoldClient *client,
                                     const double *from,
                                     const double *to,
                                     const double *half,
                                     struct NinefoldTrace *out);

// What is at a place (x, y, z in the world): NINEFOLD_HIT_NONE is air.
NinefoldStatus ninefold_client_contents(struct NinefoldClient *client,
                                        const double *at,
                                        NinefoldHit *out);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* NINEFOLD_H */
