/** Go's words for the errors of a socket, as clients print them. */
const systemTexts: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'connection reset by peer',
  EHOSTUNREACH: 'no route to host',
  ENETUNREACH: 'network is unreachable',
  ETIMEDOUT: 'connection timed out',
  EPIPE: 'broken pipe',
  ENOENT: 'no such file or directory',
  EACCES: 'permission denied',
}

const certificateTexts: Readonly<Record<string, string>> = {
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'certificate signed by unknown authority',
  UNABLE_TO_GET_ISSUER_CERT: 'certificate signed by unknown authority',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'certificate signed by unknown authority',
  SELF_SIGNED_CERT_IN_CHAIN: 'certificate signed by unknown authority',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'certificate signed by unknown authority',
  CERT_HAS_EXPIRED: 'certificate has expired or is not yet valid',
  CERT_NOT_YET_VALID: 'certificate has expired or is not yet valid',
}

interface SocketError extends Error {
  readonly code?: string
  readonly syscall?: string
  readonly address?: string
  readonly port?: number
  readonly hostname?: string
}

/** The message, in grpc-go's words, of a connection that could not be made. */
export function dialErrorMessage(error: SocketError): string {
  const { code = '', syscall, address, port, hostname } = error
  if (certificateTexts[code] !== undefined)
    return handshakeFailed(`tls: failed to verify certificate: x509: ${certificateTexts[code]}`)
  if (code.startsWith('ERR_TLS') || code.startsWith('ERR_SSL')) return handshakeFailed(error.message)
  if (syscall === 'getaddrinfo') return dialing(`dial tcp: lookup ${hostname ?? ''}: no such host`)
  const text = systemTexts[code] ?? error.message
  if (syscall === 'connect' && address !== undefined) {
    const host = address.includes(':') ? `[${address}]` : address
    return dialing(
      port === undefined
        ? `dial unix ${address}: connect: ${text}`
        : `dial tcp ${host}:${port}: connect: ${text}`,
    )
  }
  return `connection error: desc = "error reading server preface: ${text}"`
}

/** The message of a connection that was made and then lost. */
export function lostMessage(error: SocketError): string {
  return `error reading from server: ${systemTexts[error.code ?? ''] ?? error.message}`
}

function dialing(text: string): string {
  return `connection error: desc = "transport: Error while dialing: ${text}"`
}

export function handshakeFailed(text: string): string {
  return `connection error: desc = "transport: authentication handshake failed: ${text}"`
}
