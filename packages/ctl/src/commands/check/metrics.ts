import { get as getPlain, type IncomingMessage } from 'node:http'
import { get as getTls } from 'node:https'
import { parseEndpoint, type TlsOptions } from '@etcd-ts/client'

const METRIC = /^process_resident_memory_bytes (\S+)$/m

/** Resident memory of the member behind an endpoint, or undefined when it does not tell. */
export async function residentBytes(
  endpoint: string,
  tls: TlsOptions | undefined,
): Promise<number | undefined> {
  const { host, port, path, tls: scheme } = parseEndpoint(endpoint)
  const secure = scheme ?? (tls !== undefined && tls.onlyOnRequest !== true)
  const address = path === undefined ? { host, port } : { socketPath: path }
  const request = { ...address, path: '/metrics', headers: { connection: 'close' } }
  try {
    const answer = await new Promise<IncomingMessage>((resolve, reject) => {
      const sent = secure ? getTls({ ...request, ...tlsOf(tls) }, resolve) : getPlain(request, resolve)
      sent.on('error', reject)
    })
    let text = ''
    for await (const chunk of answer.setEncoding('utf8')) text += String(chunk)
    const bytes = Number(METRIC.exec(text)?.[1])
    return Number.isFinite(bytes) ? bytes : undefined
  } catch {
    return undefined // the caller says what that means
  }
}

function tlsOf(tls: TlsOptions | undefined): object {
  return {
    rejectUnauthorized: tls?.skipVerify !== true,
    ...(tls?.authorities && { ca: Buffer.from(tls.authorities) }),
    ...(tls?.certificate && { cert: Buffer.from(tls.certificate) }),
    ...(tls?.key && { key: Buffer.from(tls.key) }),
  }
}
