import { FRAME_HEADER_BYTES, FrameType, Flag, writeFrameHeader, writeUint32 } from './frames.ts'
import type { Output } from './output.ts'

/** Writers of the frames that carry no call. */

export const PING_BYTES = 8

/** A setting as it stands in a frame. */
export type SettingPair = readonly [id: number, value: number]
const SETTING_BYTES = 6

export function writeSettings(output: Output, settings: readonly SettingPair[]): void {
  const length = settings.length * SETTING_BYTES
  let at = output.reserve(FRAME_HEADER_BYTES + length)
  const out = output.buffer
  at = writeFrameHeader(out, at, length, FrameType.Settings, 0, 0)
  for (const [id, value] of settings) {
    out[at++] = id >>> 8
    out[at++] = id
    at = writeUint32(out, at, value)
  }
  output.at = at
}

export function writeSettingsAck(output: Output): void {
  const at = output.reserve(FRAME_HEADER_BYTES)
  output.at = writeFrameHeader(output.buffer, at, 0, FrameType.Settings, Flag.Ack, 0)
}

export function writePing(output: Output, payload: Uint8Array, flags: number): void {
  const at = output.reserve(FRAME_HEADER_BYTES + PING_BYTES)
  const body = writeFrameHeader(output.buffer, at, PING_BYTES, FrameType.Ping, flags, 0)
  output.buffer.set(payload, body)
  output.at = body + PING_BYTES
}

export function writeGoAway(output: Output, lastStreamId: number, code: number, debug: string): void {
  const length = 8 + debug.length
  let at = output.reserve(FRAME_HEADER_BYTES + length)
  at = writeFrameHeader(output.buffer, at, length, FrameType.GoAway, 0, 0)
  at = writeUint32(output.buffer, at, lastStreamId)
  at = writeUint32(output.buffer, at, code)
  output.at = at + output.buffer.write(debug, at, 'latin1')
}

export function writeRstStream(output: Output, streamId: number, code: number): void {
  const at = output.reserve(FRAME_HEADER_BYTES + 4)
  const body = writeFrameHeader(output.buffer, at, 4, FrameType.RstStream, 0, streamId)
  output.at = writeUint32(output.buffer, body, code)
}

export function writeWindowUpdate(output: Output, streamId: number, increment: number): void {
  const at = output.reserve(FRAME_HEADER_BYTES + 4)
  const body = writeFrameHeader(output.buffer, at, 4, FrameType.WindowUpdate, 0, streamId)
  output.at = writeUint32(output.buffer, body, increment)
}
