/**
 * Every bound of this package, and why it has its value. A connection may use up to these and no more, whatever its
 * peer sends or leaves unread.
 */
export interface Limits {
  /** The client's preface and first SETTINGS must be here by then, or the socket is closed (half-open connections). */
  readonly handshakeTimeoutMs: number
  /** Largest header list of a request or response, counted as SETTINGS_MAX_HEADER_LIST_SIZE is. */
  readonly headerListBytesMax: number
  /**
   * Largest coded header block. It is larger than the list so that an honest peer with too many fields gets an
   * answer on its stream; beyond it the connection is closed, since a block must be decoded whole or not at all.
   */
  readonly headerBlockBytesMax: number
  /** CONTINUATION frames of one block (CVE-2023-45288); full frames of the largest block need 16. */
  readonly continuationsMax: number
  /** Streams of one connection when the embedder sets no SETTINGS_MAX_CONCURRENT_STREAMS: memory has an end. */
  readonly streamsMax: number
  /** Window of each of our streams. A larger message gets the rest of its window when its length is known. */
  readonly streamWindowBytes: number
  /** Window of our connections: one round trip's worth of requests on a fast network. */
  readonly connectionWindowBytes: number
  /**
   * Parts of unfinished messages that one connection may hold; the stream that crosses it is reset. A server allows
   * at least four messages of the largest size.
   */
  readonly assemblyBytesMax: number
  /**
   * Windows beyond `streamWindowBytes` that are promised to unfinished messages at one time; others wait their
   * turn, so many large uploads take little more memory than a few.
   */
  readonly grantBytesMax: number
  /** `write` answers false when more than this waits on its stream... */
  readonly streamHighWaterBytes: number
  /** ...and `onDrain` is called when no more than this is left. */
  readonly streamLowWaterBytes: number
  /** A service that goes on writing to a stream with so much waiting loses it. */
  readonly streamBufferBytesMax: number
  /** Answers that wait for a slow reader, per connection; beyond it no further request is handed to a service. */
  readonly connectionHighWaterBytes: number
  /** Bytes that the socket has not taken; beyond it nothing is read, so control frames cannot pile up answers. */
  readonly socketBacklogBytesMax: number
  /**
   * A stream with waiting bytes that moves none of them for so long is reset, with INTERNAL_ERROR because watch
   * clients resume after Internal and Unavailable only; a socket that takes nothing for so long is destroyed.
   */
  readonly stallTimeoutMs: number
  /** Balance of the flood guard (see `FloodGuard`): what a peer may spend at once... */
  readonly floodCreditMax: number
  /** ...and what comes back per second. */
  readonly floodCreditPerSecond: number
  /** Quiet time after which the kernel probes the peer's machine: a peer that vanished is noticed without pings. */
  readonly tcpKeepAliveMs: number
  /** Time for our last GOAWAY to reach the peer before the socket is destroyed. */
  readonly goAwayLingerMs: number
  /** Time between two rounds of the checks above; timeouts are late by at most this. */
  readonly sweepIntervalMs: number
}

export const defaultLimits: Limits = {
  handshakeTimeoutMs: 10_000,
  headerListBytesMax: 16 * 1024,
  headerBlockBytesMax: 256 * 1024,
  continuationsMax: 32,
  streamsMax: 100_000,
  streamWindowBytes: 256 * 1024,
  connectionWindowBytes: 4 * 1024 * 1024,
  assemblyBytesMax: 64 * 1024 * 1024,
  grantBytesMax: 16 * 1024 * 1024,
  streamHighWaterBytes: 256 * 1024,
  streamLowWaterBytes: 64 * 1024,
  streamBufferBytesMax: 64 * 1024 * 1024,
  connectionHighWaterBytes: 16 * 1024 * 1024,
  socketBacklogBytesMax: 1024 * 1024,
  stallTimeoutMs: 60_000,
  floodCreditMax: 10_000,
  floodCreditPerSecond: 1_000,
  tcpKeepAliveMs: 30_000,
  goAwayLingerMs: 1_000,
  sweepIntervalMs: 1_000,
}

/**
 * A client reads what it has asked for, so its windows are larger and its messages bounded by their own limit alone; its
 * keepalive may be a matter of seconds, so its sweeps are more frequent.
 */
export const clientLimits: Limits = {
  ...defaultLimits,
  headerListBytesMax: 64 * 1024,
  streamWindowBytes: 4 * 1024 * 1024,
  connectionWindowBytes: 16 * 1024 * 1024,
  assemblyBytesMax: Infinity,
  sweepIntervalMs: 250,
}

/**
 * What frames cost in the flood guard's currency. One credit is about the work of one small frame; honest peers earn
 * `answer` with every frame of an answer they take.
 */
export const FloodCost = {
  windowUpdate: 1,
  priority: 2,
  unknownFrame: 2,
  ping: 5,
  emptyData: 10,
  tinyData: 1,
  continuation: 10,
  closedStreamFrame: 5,
  /** A stream that its client opens and resets before it is answered (CVE-2023-44487). */
  earlyReset: 10,
  /** An error of the peer's that cost it a stream. */
  streamError: 10,
  /** A stream beyond SETTINGS_MAX_CONCURRENT_STREAMS: clients open many before they have read our SETTINGS. */
  refusedStream: 1,
  settings: 100,
} as const

/** Credits that come back for every frame that carries an answer. */
export const FLOOD_CREDIT_PER_ANSWER = 10

/** Credits for a stream that ends early: its client's message, end of stream and reset may be under way. */
export const FLOOD_CREDIT_PER_EARLY_END = 3 * FloodCost.closedStreamFrame

/** DATA payloads below this size that complete no message are charged as `tinyData`. */
export const TINY_DATA_BYTES = 256

/** grpc-go's defaults for the size of one message. */
export const RECEIVE_MESSAGE_BYTES_MAX = 4 * 1024 * 1024
export const SEND_MESSAGE_BYTES_MAX = 0x7fff_ffff

/** Pings that come too early and are forgiven before GOAWAY "too_many_pings", as grpc-go counts them. */
export const PING_STRIKES_MAX = 2
