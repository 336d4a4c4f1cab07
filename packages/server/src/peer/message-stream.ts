/**
 * The stream type `message`, which may carry every message. A frame is a size of 8 bytes, big-endian, and that many bytes
 * of `raftpb.Message`. A `MsgHeartbeat` from and to nobody says that the link is up, and nothing more.
 */
import { type Message, MessageType, newMessage } from '@etcd-ts/raft'
import { raftpb } from '@etcd-ts/api'
import { ChunkReader } from './chunk-reader.ts'
import type { FrameBuffer } from './frame-buffer.ts'
import { MESSAGE_BYTES_MAX, checkMessage, decodeMessage, isLinkHeartbeat } from './message-check.ts'

const linkHeartbeat = newMessage(MessageType.MsgHeartbeat, 0n)

/** Writes messages as frames. */
export class MessageEncoder {
  linkHeartbeat(out: FrameBuffer): void {
    this.encode(linkHeartbeat, out)
  }

  encode(message: Message, out: FrameBuffer): void {
    const size = raftpb.Message.encodedSize(message)
    out.reserve(8 + size)
    out.writeUint64(size)
    out.at = raftpb.Message.write(message, out.bytes, out.at)
  }
}

/** Reads messages from the chunks of a stream. */
export class MessageDecoder {
  readonly #onMessage: (message: Message) => void
  readonly #reader = new ChunkReader()
  /** Of the message that comes next; -1 while its size does. */
  #sizeBytes = -1

  constructor(onMessage: (message: Message) => void) {
    this.#onMessage = onMessage
  }

  /**
   * Takes over a chunk, into which the bytes of the messages will be views.
   *
   * @throws ProtocolError after which the stream is of no use any more
   */
  push(chunk: Uint8Array): void {
    const reader = this.#reader
    reader.push(chunk)
    for (;;) {
      if (this.#sizeBytes < 0) {
        if (!reader.need(8)) return
        this.#sizeBytes = reader.takeUint64(MESSAGE_BYTES_MAX)
      }
      if (!reader.need(this.#sizeBytes)) return
      const start = reader.at
      reader.at += this.#sizeBytes
      this.#sizeBytes = -1
      const message = decodeMessage(reader.bytes, start, reader.at)
      if (isLinkHeartbeat(message)) continue
      checkMessage(message)
      this.#onMessage(message)
    }
  }
}
