import type { IncomingHttpHeaders } from 'node:http'

/** TLS alerts (RFC 8446 section 6.2) in Go's words, which are what people look for in logs. */
const alerts: Readonly<Record<number, string>> = {
  40: 'handshake failure',
  42: 'bad certificate',
  43: 'unsupported certificate',
  44: 'revoked certificate',
  45: 'expired certificate',
  46: 'unknown certificate',
  48: 'unknown certificate authority',
  49: 'access denied',
  70: 'protocol version not supported',
  80: 'internal error',
  116: 'certificate required',
  120: 'no application protocol',
}

/** What is logged of an error between members: the alert that the other side sent, or the text of the error. */
export function peerErrorText(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const [, alert = ''] = /SSL alert number (\d+)/.exec(error.message) ?? []
  const text = alerts[Number(alert)]
  return alert !== '' && text !== undefined ? `remote error: tls: ${text}` : error.message
}

/** In the answer to a connection whose certificate was refused after the handshake, which is all that can be said then. */
export const BAD_CERTIFICATE_HEADER = 'X-Etcd-Tls-Alert'

/** Whether an answer is that the certificate was refused. */
export function saysBadCertificate(headers: IncomingHttpHeaders): boolean {
  return headers['x-etcd-tls-alert'] === 'bad certificate'
}

export const BAD_CERTIFICATE = 'remote error: tls: bad certificate'
