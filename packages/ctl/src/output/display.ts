import type { AnyCodec } from '@etcd-ts/api'
import { ExitCode, ExitError } from '../exit.ts'
import type { Io } from '../io.ts'
import { messageJson } from './json.ts'

export const FORMATS = ['simple', 'json', 'fields', 'table', 'protobuf'] as const
export type Format = (typeof FORMATS)[number]

/** How one answer looks in each format; what is missing is refused. */
export type Views = { readonly [format in Format]?: () => string | Uint8Array }

/** Prints the view of `format`. @throws ExitError when there is none */
export function display(io: Io, format: Format, views: Views): void {
  const view = views[format]
  if (!view) throw new ExitError(ExitCode.BadFeature, `${format} not supported as output format`)
  const text = view()
  if (text.length > 0) io.out(text)
}

/** The formats that every answer has from its message alone. */
export function messageViews<Message extends object>(
  codec: AnyCodec,
  message: Message,
): { readonly json: () => string; readonly protobuf: () => Uint8Array } {
  return {
    json: () => `${messageJson(codec, message)}\n`,
    protobuf: () => codec.encode(message) as Uint8Array,
  }
}
