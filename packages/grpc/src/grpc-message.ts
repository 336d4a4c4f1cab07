/** `grpc-message` is UTF-8 in which all but printable ASCII, and `%`, is percent-encoded. */
export function encodeGrpcMessage(message: string): string {
  if (!needsEncoding(message)) return message
  let encoded = ''
  const bytes = Buffer.from(message, 'utf8')
  for (const [i, byte] of bytes.entries()) {
    // A blank at either end would make the header malformed.
    const endBlank = byte === 0x20 && (i === 0 || i === bytes.length - 1)
    encoded +=
      isPlain(byte) && !endBlank
        ? String.fromCharCode(byte)
        : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
  }
  return encoded
}

function isPlain(code: number): boolean {
  return code >= 0x20 && code <= 0x7e && code !== 0x25
}

function needsEncoding(message: string): boolean {
  if (message.startsWith(' ') || message.endsWith(' ')) return true
  for (let i = 0; i < message.length; i++) if (!isPlain(message.charCodeAt(i))) return true
  return false
}

/** Decodes what other programs sent; a `%` that begins no byte stands for itself. */
export function decodeGrpcMessage(value: string): string {
  if (!value.includes('%')) return value
  const bytes = Buffer.alloc(value.length)
  let length = 0
  for (let i = 0; i < value.length; i++) {
    const hex = value.slice(i + 1, i + 3)
    if (value.charCodeAt(i) === 0x25 && /^[0-9a-fA-F]{2}$/.test(hex)) {
      bytes[length++] = Number.parseInt(hex, 16)
      i += 2
    } else bytes[length++] = value.charCodeAt(i)
  }
  return bytes.toString('utf8', 0, length)
}
