/* A client in C: connects, receives the chunk that it stands in, prints its faces, walks, leaves.
 *
 *     ninefold --quic-listen 127.0.0.1:0 &               a server in development mode
 *     ninefold token --client-id 7 --out token.txt       who may come in
 *     make && ./walk token.txt                           over UDP
 *     ./walk token.txt 127.0.0.1:PORT FINGERPRINT        over QUIC, as the server said where
 *
 * Exits with 0 when it has walked, with 1 when it has not, and says why.
 */
#include <ninefold.h>

#include <stdio.h>
#include <stdlib.h>

enum { FRAME_US = 16000, FRAMES_MAX = 60 * 60, TOKEN_BYTES_MAX = 4096, FACES_SHOWN = 5 };

/* How far it is to walk, in units. */
static const double WAY = 48.0;

static void explain(const NinefoldClient *client, const char *what, NinefoldStatus status) {
    char words[512] = "";
    ninefold_client_error(client, words, sizeof words, NULL);
    fprintf(stderr, "walk: %s: %s (%s)\n", what, words, ninefold_status_text(status));
}

static void say_end(const NinefoldClient *client) {
    char words[512] = "";
    ninefold_client_error(client, words, sizeof words, NULL);
    fprintf(stderr, "walk: the session ended: %s\n", words);
}

static size_t read_token(const char *path, uint8_t *token, size_t room) {
    FILE *file = fopen(path, "rb");
    if (!file) return 0;
    size_t length = fread(token, 1, room, file);
    fclose(file);
    return length;
}

/* Prints the chunk's faces; returns whether it could. */
static int show_chunk(NinefoldClient *client, int32_t cx, int32_t cz) {
    size_t count = 0, vertices = 0, triangles = 0;
    NinefoldStatus status = ninefold_chunk_faces(client, cx, cz, NULL, 0, &count);
    if (status != NINEFOLD_STATUS_OK && status != NINEFOLD_STATUS_SHORT) {
        explain(client, "faces", status);
        return 0;
    }
    NinefoldFace *faces = malloc(count * sizeof *faces);
    if (!faces) return 0;
    status = ninefold_chunk_faces(client, cx, cz, faces, count, &count);
    ninefold_chunk_mesh(client, cx, cz, NULL, 0, &vertices, NULL, 0, &triangles);
    printf("chunk %d,%d: %zu faces, %zu triangles over %zu vertices\n", cx, cz, count, triangles, vertices);
    for (size_t i = 0; i < count && i < FACES_SHOWN; i++) {
        const NinefoldPoint *low = &faces[i].corners[0], *high = &faces[i].corners[2];
        printf("  face %zu of material %u: %g,%g,%g to %g,%g,%g\n", i, faces[i].material, low->x, low->y,
               low->z, high->x, high->y, high->z);
    }
    free(faces);
    return status == NINEFOLD_STATUS_OK;
}

/* Which way is free: the end of the longest of four lines of sight at the height of the eyes. */
static void find_way(NinefoldClient *client, const NinefoldOwn *own, double *move_x, double *move_z) {
    static const double ways[4][2] = {{1, 0}, {0, 1}, {-1, 0}, {0, -1}};
    const double from[3] = {own->x, own->y + 8, own->z}, half[3] = {16, 4, 16};
    double longest = -1;
    for (int i = 0; i < 4; i++) {
        const double to[3] = {from[0] + 512 * ways[i][0], from[1], from[2] + 512 * ways[i][1]};
        NinefoldTrace trace = {.size = sizeof trace};
        if (ninefold_client_trace(client, from, to, half, &trace) == NINEFOLD_STATUS_OK && trace.fraction > longest) {
            longest = trace.fraction;
            *move_x = ways[i][0];
            *move_z = ways[i][1];
        }
    }
}

/* One frame. Returns whether the session goes on. */
static int frame(NinefoldClient *client, int *has_chunk) {
    NinefoldStatus status = ninefold_client_step(client);
    if (status != NINEFOLD_STATUS_OK) explain(client, "step", status);
    NinefoldEvent event = {.size = sizeof event};
    while (ninefold_client_poll_event(client, &event) == NINEFOLD_STATUS_OK) {
        switch (event.kind) {
        case NINEFOLD_EVENT_KIND_WELCOME:
            printf("welcome: player %u of world %016llx at %u ticks a second\n", event.player,
                   (unsigned long long)event.world_id, event.tick_rate_hz);
            break;
        case NINEFOLD_EVENT_KIND_ENTERED:
            printf("entered chunk %d,%d\n", event.cx, event.cz);
            break;
        case NINEFOLD_EVENT_KIND_ENDED:
            say_end(client);
            return 0;
        default:
            break;
        }
        event.size = sizeof event;
    }
    NinefoldOwn own = {.size = sizeof own};
    if (!*has_chunk && ninefold_client_own(client, &own) == NINEFOLD_STATUS_OK) {
        size_t count = 0;
        if (ninefold_chunk_faces(client, own.cx, own.cz, NULL, 0, &count) != NINEFOLD_STATUS_NOTHING) {
            *has_chunk = show_chunk(client, own.cx, own.cz);
        }
    }
    ninefold_client_wait(client, FRAME_US); /* A game draws here instead. */
    return 1;
}

/* Walks until it is WAY units from where it began. */
static int play(NinefoldClient *client) {
    int has_chunk = 0, walks = 0;
    double begin_x = 0, begin_z = 0, move_x = 0, move_z = 0;
    for (int frames = 0; frames < FRAMES_MAX; frames++) {
        if (!frame(client, &has_chunk)) return 0;
        NinefoldOwn own = {.size = sizeof own};
        if (!has_chunk || ninefold_client_own(client, &own) != NINEFOLD_STATUS_OK) continue;
        if (!walks) {
            walks = 1;
            begin_x = own.x;
            begin_z = own.z;
            find_way(client, &own, &move_x, &move_z);
        }
        double x = own.x - begin_x, z = own.z - begin_z;
        if (x * x + z * z >= WAY * WAY) {
            NinefoldStats stats = {.size = sizeof stats};
            size_t near = 0;
            ninefold_client_stats(client, &stats);
            ninefold_client_entities(client, NULL, 0, &near);
            printf("walked to %.1f,%.1f,%.1f; %zu others near\n", own.x, own.y, own.z, near);
            printf("round trip %llu us, %llu of %llu predictions wrong, %llu chunks received, %llu from the store\n",
                   (unsigned long long)stats.rtt_us, (unsigned long long)stats.corrections,
                   (unsigned long long)(stats.confirmations + stats.corrections),
                   (unsigned long long)stats.chunks_received, (unsigned long long)stats.chunks_from_store);
            return 1;
        }
        ninefold_client_set_input(client, move_x, move_z, 0, 0);
    }
    fprintf(stderr, "walk: it took too long\n");
    return 0;
}

int main(int argc, char **argv) {
    if (argc != 2 && argc != 4) {
        fprintf(stderr, "usage: walk TOKEN_FILE [QUIC_ADDRESS FINGERPRINT]\n");
        return 2;
    }
    if (ninefold_abi_version() != NINEFOLD_ABI_VERSION) {
        fprintf(stderr, "walk: built for another version of the library\n");
        return 2;
    }
    uint8_t token[TOKEN_BYTES_MAX];
    size_t length = read_token(argv[1], token, sizeof token);
    NinefoldConfig config = {.size = sizeof config};
    ninefold_config_default(&config);
    config.store_folder = getenv("WALK_STORE"); /* NULL: chunks are not kept. */
    NinefoldClient *client = NULL;
    NinefoldStatus status = argc == 4
        ? ninefold_client_quic(&config, token, length, argv[2], argv[3], &client)
        : ninefold_client_udp(&config, token, length, &client);
    if (status != NINEFOLD_STATUS_OK) {
        explain(NULL, "cannot begin", status);
        return 1;
    }
    int walked = play(client);
    ninefold_client_free(client);
    return walked ? 0 : 1;
}
