/**
 * The stream type `msgappv2`, which carries nothing but `MsgApp`. All numbers are 8 bytes, big-endian.
 *
 *     0x00                                                              link heartbeat
 *     0x01 count (size Entry){count} commit                             append that continues the one before
 *     0x02 size Message                                                 any append
 *
 * Both ends keep a term and an index, 0 at first. 0x02 sets them to the message's term and to the index of its last entry
 * (its own index when it has none); 0x01 stands for an append of that term at that index, whose previous entry is of the
 * same term, and adds its count to the index. Sender and receiver are those of the connection.
 */
import { type Entry, type Message, MessageType, newMessage } from '@etcd-ts/raft'
import { raftpb, sizeOfVarint, writeVarint } from '@etcd-ts/api'
import { ChunkReader } from './chunk-reader.ts'
import { type FrameBuffer, OWN_SEGMENT_BYTES } from './frame-buffer.ts'
import {
  MESSAGE_BYTES_MAX,
  ProtocolError,
  checkMessage,
  decodeEntry,
  decodeMessage,
} from './message-check.ts'

const LINK_HEARTBEAT = 0
const APPEND_ENTRIES = 1
const ANY_APPEND = 2

/** Raft puts at most 1 MiB of entries into an append, each of six bytes or more. */
const ENTRIES_MAX = 1024 * 1024
const DATA_TAG = 0x22
/** Type, term and index of an entry, and the tag and length of its data. */
const ENTRY_HEAD_BYTES_MAX = 2 + 9 + 9 + 1 + 5

/** Writes appends as frames. */
export class AppendEncoder {
  #term = 0
  #index = 0

  linkHeartbeat(out: FrameBuffer): void {
    out.reserve(1)
    out.bytes[out.at++] = LINK_HEARTBEAT
  }

  encode(message: Message, out: FrameBuffer): void {
    const { entries, index, term, logTerm } = message
    if (this.#index === index && this.#term === logTerm && logTerm === term) {
      out.reserve(9)
      out.bytes[out.at++] = APPEND_ENTRIES
      out.writeUint64(entries.length)
      for (const entry of entries) writeEntry(entry, out)
      out.reserve(8)
      out.writeUint64(message.commit)
      this.#index += entries.length
      return
    }
    const size = raftpb.Message.encodedSize(message)
    out.reserve(9 + size)
    out.bytes[out.at++] = ANY_APPEND
    out.writeUint64(size)
    out.at = raftpb.Message.write(message, out.bytes, out.at)
    this.#term = term
    this.#index = entries[entries.length - 1]?.index ?? index
  }
}

function writeEntry(entry: Entry, out: FrameBuffer): void {
  const size = raftpb.Entry.encodedSize(entry)
  const { data } = entry
  if (data === undefined || data.length < OWN_SEGMENT_BYTES) {
    out.reserve(8 + size)
    out.writeUint64(size)
    out.at = raftpb.Entry.write(entry, out.bytes, out.at)
    return
  }
  out.reserve(8 + ENTRY_HEAD_BYTES_MAX)
  out.writeUint64(size)
  out.at = raftpb.Entry.write({ ...entry, data: undefined }, out.bytes, out.at)
  out.bytes[out.at++] = DATA_TAG
  out.at = writeVarint(out.bytes, out.at, data.length)
  out.addSegment(data)
}

/** Bytes that a message without a snapshot will take on a stream, or a little more. */
export function messageSizeBound(message: Message): number {
  let size = 128 + (message.context?.length ?? 0)
  for (const { data } of message.entries) {
    const length = data?.length ?? 0
    size += 8 + ENTRY_HEAD_BYTES_MAX + length + sizeOfVarint(length)
  }
  return size
}

type Expected = 'kind' | 'count' | 'entrySize' | 'entry' | 'commit' | 'messageSize' | 'message'

/** Reads appends from the chunks of a stream. */
export class AppendDecoder {
  readonly #localId: bigint
  readonly #remoteId: bigint
  readonly #onMessage: (message: Message) => void
  readonly #reader = new ChunkReader()
  #term = 0
  #index = 0
  #expected: Expected = 'kind'
  /** Of what comes next, when `#expected` is a body. */
  #sizeBytes = 0
  #missing = 0
  #frameBytes = 0
  #entries: Entry[] = []

  constructor(localId: bigint, remoteId: bigint, onMessage: (message: Message) => void) {
    this.#localId = localId
    this.#remoteId = remoteId
    this.#onMessage = onMessage
  }

  /**
   * Takes over a chunk, into which the data of the entries will be views.
   *
   * @throws ProtocolError after which the stream is of no use any more
   */
  push(chunk: Uint8Array): void {
    const reader = this.#reader
    reader.push(chunk)
    for (;;) {
      switch (this.#expected) {
        case 'kind':
          if (!reader.need(1)) return
          this.#takeKind(reader.bytes[reader.at++] ?? 0)
          break
        case 'count':
          if (!reader.need(8)) return
          this.#missing = reader.takeUint64(ENTRIES_MAX)
          this.#frameBytes = 0
          this.#entries = []
          this.#expected = this.#missing === 0 ? 'commit' : 'entrySize'
          break
        case 'entrySize':
          if (!reader.need(8)) return
          this.#sizeBytes = reader.takeUint64(MESSAGE_BYTES_MAX - this.#frameBytes)
          this.#frameBytes += this.#sizeBytes
          this.#expected = 'entry'
          break
        case 'entry':
          if (!reader.need(this.#sizeBytes)) return
          this.#takeEntry()
          break
        case 'commit':
          if (!reader.need(8)) return
          this.#expected = 'kind'
          this.#emitEntries(reader.takeUint64(Number.MAX_SAFE_INTEGER))
          break
        case 'messageSize':
          if (!reader.need(8)) return
          this.#sizeBytes = reader.takeUint64(MESSAGE_BYTES_MAX)
          this.#expected = 'message'
          break
        case 'message':
          if (!reader.need(this.#sizeBytes)) return
          this.#expected = 'kind'
          this.#takeMessage()
          break
      }
    }
  }

  #takeKind(kind: number): void {
    if (kind === APPEND_ENTRIES) this.#expected = 'count'
    else if (kind === ANY_APPEND) this.#expected = 'messageSize'
    else if (kind !== LINK_HEARTBEAT) throw new ProtocolError(`unexpected frame of kind ${kind}`)
  }

  #takeEntry(): void {
    const reader = this.#reader
    const start = reader.at
    reader.at += this.#sizeBytes
    this.#entries.push(decodeEntry(reader.bytes, start, reader.at))
    this.#missing--
    this.#expected = this.#missing === 0 ? 'commit' : 'entrySize'
  }

  #emitEntries(commit: number): void {
    const message = newMessage(MessageType.MsgApp, this.#localId)
    message.from = this.#remoteId
    message.term = this.#term
    message.logTerm = this.#term
    message.index = this.#index
    message.entries = this.#entries
    message.commit = commit
    checkMessage(message)
    this.#index += this.#entries.length
    this.#entries = []
    this.#onMessage(message)
  }

  #takeMessage(): void {
    const reader = this.#reader
    const start = reader.at
    reader.at += this.#sizeBytes
    const message = decodeMessage(reader.bytes, start, reader.at)
    if (message.type !== MessageType.MsgApp) {
      throw new ProtocolError(`message of type ${message.type} in a stream of appends`)
    }
    checkMessage(message)
    this.#term = message.term
    this.#index = message.entries[message.entries.length - 1]?.index ?? message.index
    this.#onMessage(message)
  }
}
