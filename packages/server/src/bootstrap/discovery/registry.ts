import { connect as connectTcp, isIP, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { etcdserverpb } from '@etcd-ts/api'
import { type CallOptions, Code, GrpcClient, GrpcError, MetadataList } from '@etcd-ts/grpc'
import type { Clock, Disk } from '@etcd-ts/platform'
import { ConfigError, type DiscoveryConfig } from '../../config/index.ts'

const { AuthService, KVService } = etcdserverpb

export type RegistryConfig = DiscoveryConfig['v3']

/** A key of the cluster that serves as registry. */
export interface Registered {
  readonly key: string
  readonly value: string
  readonly createRevision: number
}

/** Members do not stand more pings than this. */
const KEEPALIVE_INTERVAL_MS_MIN = 10_000

/**
 * The keys of another etcd cluster. A call goes from one endpoint to the next until one answers; a user is
 * authenticated by the first call, and again after one that failed.
 */
export class Registry {
  readonly #config: RegistryConfig
  readonly #clients: readonly GrpcClient[]
  /** The endpoint that answered last. */
  #first = 0
  #needsToken: boolean
  #token: string | undefined

  /** @throws ConfigError, or what reading the files of TLS throws */
  constructor(config: RegistryConfig, clock: Clock, disk: Pick<Disk, 'readFile'>) {
    this.#config = config
    this.#needsToken = config.user !== ''
    const tls = tlsOf(config, disk)
    this.#clients = config.endpoints.map((text) => {
      const endpoint = endpointOf(text)
      return new GrpcClient({
        authority: endpoint.authority,
        keepalive: {
          intervalMs: Math.max(config.keepAliveTimeMs, KEEPALIVE_INTERVAL_MS_MIN),
          timeoutMs: config.keepAliveTimeoutMs,
        },
        connect: () => dial(endpoint, tls, config, clock),
      })
    })
  }

  /** @returns undefined when there is no such key @throws Error */
  async get(key: string): Promise<Registered | undefined> {
    const { kvs } = await this.#call(KVService.Range, { key: Buffer.from(key) })
    return kvs.map(registeredOf)[0]
  }

  /** All keys below a folder, by age. @param folder ends in a slash @throws Error */
  async list(folder: string): Promise<readonly Registered[]> {
    // The character after the slash ends the range.
    const rangeEnd = Buffer.from(`${folder.slice(0, -1)}0`)
    const { kvs } = await this.#call(KVService.Range, { key: Buffer.from(folder), rangeEnd })
    return kvs.map(registeredOf).sort((a, b) => a.createRevision - b.createRevision)
  }

  /** @throws Error */
  async put(key: string, value: string): Promise<void> {
    await this.#call(KVService.Put, { key: Buffer.from(key), value: Buffer.from(value) })
  }

  close(): void {
    for (const client of this.#clients) client.close()
  }

  async #call<Init, Answer>(method: UnaryMethod<Init, Answer>, request: Init): Promise<Answer> {
    try {
      if (this.#needsToken && this.#token === undefined) await this.#authenticate()
      const metadata = this.#token === undefined ? undefined : MetadataList.from({ token: this.#token })
      return await this.#ask(method, request, metadata === undefined ? {} : { metadata })
    } catch (error) {
      this.#token = undefined // it may be why the call failed
      throw error
    }
  }

  /** @throws ConfigError when the user is refused */
  async #authenticate(): Promise<void> {
    const { user } = this.#config
    const colon = user.indexOf(':')
    const name = colon < 0 ? user : user.slice(0, colon)
    const password = colon < 0 ? this.#config.password : user.slice(colon + 1)
    try {
      this.#token = (await this.#ask(AuthService.Authenticate, { name, password }, {})).token
    } catch (error) {
      if (!(error instanceof GrpcError)) throw error
      if (error.code === Code.InvalidArgument) throw new ConfigError(error.message, { cause: error })
      if (error.code !== Code.FailedPrecondition) throw error
      this.#needsToken = false // the cluster does without users
    }
  }

  async #ask<Init, Answer>(
    method: UnaryMethod<Init, Answer>,
    request: Init,
    options: CallOptions,
  ): Promise<Answer> {
    const bytes = method.request.encode(request)
    let failure: unknown
    for (let tried = 0; tried < this.#clients.length; tried++) {
      const client = this.#clients[(this.#first + tried) % this.#clients.length]
      if (client === undefined) break
      try {
        const answer = await client.unary(method.path, bytes, {
          ...options,
          deadlineMs: this.#config.requestTimeoutMs,
        })
        this.#first = (this.#first + tried) % this.#clients.length
        return method.response.decode(answer)
      } catch (error) {
        failure = error
        const mayOtherAnswer =
          error instanceof GrpcError &&
          (error.code === Code.Unavailable || error.code === Code.DeadlineExceeded)
        if (!mayOtherAnswer) throw error
      }
    }
    throw failure
  }
}

interface UnaryMethod<Init, Answer> {
  readonly path: string
  readonly request: { encode(request: Init): Uint8Array }
  readonly response: { decode(bytes: Uint8Array): Answer }
}

function registeredOf({ key, value, createRevision }: etcdserverpb.RangeResponse['kvs'][number]): Registered {
  return {
    key: Buffer.from(key).toString('utf8').trim(),
    value: Buffer.from(value).toString('utf8').trim(),
    createRevision,
  }
}

interface Endpoint {
  readonly text: string
  readonly authority: string
  /** Undefined: as the flags say. */
  readonly secure: boolean | undefined
  readonly target: { readonly path: string } | { readonly host: string; readonly port: number }
}

/** `host:port`, `http://host:port`, `https://host:port`, `unix://path`; a path behind the port is ignored. */
function endpointOf(text: string): Endpoint {
  const [, scheme, rest = ''] = /^(?:(https?|unixs?):(?:\/\/)?)?(.*)$/s.exec(text) ?? []
  const secure = scheme === undefined ? undefined : scheme === 'https' || scheme === 'unixs'
  if (scheme === 'unix' || scheme === 'unixs') {
    return { text, authority: 'localhost', secure, target: { path: rest } }
  }
  const authority = rest.replace(/\/.*$/s, '')
  const [, bracketed, plain, port] = /^(?:\[([^\]]*)\]|([^:]*)):(\d{1,5})$/.exec(authority) ?? []
  const host = bracketed ?? plain
  if (host === undefined || Number(port) > 65_535) {
    throw new ConfigError(`dial tcp: address ${text}: missing port in address`)
  }
  return { text, authority, secure, target: { host, port: Number(port) } }
}

interface RegistryTls {
  readonly rejectUnauthorized: boolean
  readonly ca?: Buffer
  readonly cert?: Buffer
  readonly key?: Buffer
}

/** The files are read only when one of the endpoints, or the flags, ask for TLS. */
function tlsOf(config: RegistryConfig, disk: Pick<Disk, 'readFile'>): RegistryTls | undefined {
  const isWanted =
    !config.insecureTransport || config.endpoints.some((endpoint) => /^(https|unixs):/.test(endpoint))
  if (!isWanted) return undefined
  const { certFile, keyFile, trustedCaFile, insecureSkipVerify } = config
  if ((certFile === '') !== (keyFile === '')) {
    throw new ConfigError(`KeyFile and CertFile must both be present[key: ${keyFile}, cert: ${certFile}]`)
  }
  const read = (path: string): Buffer => Buffer.from(disk.readFile(path))
  return {
    rejectUnauthorized: !insecureSkipVerify,
    ...(trustedCaFile === '' ? {} : { ca: read(trustedCaFile) }),
    ...(certFile === '' ? {} : { cert: read(certFile), key: read(keyFile) }),
  }
}

function dial(
  { target, text, secure }: Endpoint,
  tls: RegistryTls | undefined,
  { insecureTransport, dialTimeoutMs }: RegistryConfig,
  clock: Clock,
): Socket {
  const isSecure = secure ?? !insecureTransport
  const name = 'host' in target && isIP(target.host) === 0 ? { servername: target.host } : {}
  const socket = isSecure
    ? connectTls({ ...target, ...tls, ...name, ALPNProtocols: ['h2'], minVersion: 'TLSv1.2' })
    : connectTcp(target)
  const timer = clock.setTimer(dialTimeoutMs, () => {
    socket.destroy(new Error(`dial ${text}: i/o timeout`))
  })
  const stop = (): void => timer.cancel()
  socket.once(isSecure ? 'secureConnect' : 'connect', stop)
  socket.once('close', stop)
  return socket
}
