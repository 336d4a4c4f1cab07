/** What the global flags mean: the output format, the endpoints and how to reach them. */
import { readFile } from 'node:fs/promises'
import type { Client, ClientOptions, Credentials, TlsOptions } from '@etcd-ts/client'
import type { Invocation } from './cli/command.ts'
import type { FlagSet } from './cli/flags.ts'
import { milliseconds } from './cli/numbers.ts'
import { applyEnvironment, logLine, variableOf, type EnvironmentOptions } from './environment.ts'
import { ExitCode, ExitError, badArguments, errorText } from './exit.ts'
import { FORMATS, type Format } from './output/display.ts'

/** A command's connection settings and output format. */
export interface Session {
  readonly format: Format
  /** Bytes, and ids in JSON, are shown in hexadecimal. */
  readonly hex: boolean
  /** Limit of `--command-timeout`, for one call. */
  readonly timeoutMs: number
  readonly endpoints: readonly string[]
  readonly tls: TlsOptions | undefined
  /** A client of `endpoints`, or of others. The program ends it when the command ends. */
  connect(endpoints?: readonly string[], options?: ConnectOptions): Promise<Client>
}

export interface ConnectOptions {
  /** Without user and password. */
  readonly anonymous?: boolean
}

/**
 * Reads the global flags and their environment variables.
 *
 * @throws ExitError when they cannot be used
 */
export async function openSession(invocation: Invocation, options?: EnvironmentOptions): Promise<Session> {
  const { flags, globals, io } = invocation
  applyEnvironment(flags, globals, io, options)
  const debug = flags.bool('debug')
  if (debug) {
    for (const flag of globals.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
      io.err(`${variableOf(flag)}=${flags.shown(flag)}\n`)
    }
  }
  const endpoints = await endpointsOf(flags)
  const files = tlsFiles(flags)
  const credentials = await credentialsOf(invocation)
  const format = FORMATS.find((name) => name === flags.text('write-out'))
  if (format === undefined) throw new ExitError(ExitCode.BadFeature, 'unsupported output format')
  const tls = await readTls(flags, files)
  const timeoutMs = milliseconds(flags.integer('command-timeout'))
  const base: Omit<ClientOptions, 'endpoints' | 'credentials'> = {
    ...(tls && { tls }),
    dialTimeoutMs: milliseconds(flags.integer('dial-timeout')),
    keepalive: {
      intervalMs: milliseconds(flags.integer('keepalive-time')),
      timeoutMs: milliseconds(flags.integer('keepalive-timeout')),
    },
    ...limitsOf(flags),
    onRetry: ({ target, attempt, text }) => {
      logLine(io, 'warn', 'retrying of unary invoker failed', { target, attempt, error: text })
    },
    ...(debug && { onLog: (text: string) => io.err(`INFO: ${text}\n`) }),
  }
  return {
    format,
    hex: flags.bool('hex'),
    timeoutMs,
    endpoints,
    tls,
    async connect(chosen = endpoints, { anonymous = false } = {}) {
      const { Client } = await import('@etcd-ts/client')
      const withCredentials = credentials && !anonymous ? { credentials } : {}
      try {
        return await Client.connect({ ...base, ...withCredentials, endpoints: chosen })
      } catch (error) {
        const { callErrorText } = await import('./call-error.ts')
        throw new ExitError(ExitCode.BadConnection, callErrorText(error), { cause: error })
      }
    },
  }
}

/** The endpoints of `--discovery-srv`, or else of `--endpoints`. */
async function endpointsOf(flags: FlagSet): Promise<string[]> {
  const domain = flags.text('discovery-srv')
  if (domain !== '') {
    const { discover } = await import('./discovery.ts')
    const found = await discover(domain, {
      serviceSuffix: flags.text('discovery-srv-name'),
      insecure: flags.bool('insecure-discovery'),
    })
    if (found.length > 0) return found
  }
  return flags.texts('endpoints').map((endpoint) => endpoint.trim())
}

interface TlsFiles {
  readonly cert: string
  readonly key: string
  readonly cacert: string
}

function tlsFiles(flags: FlagSet): TlsFiles {
  const file = (name: string): string => {
    const path = flags.text(name)
    if (path === '' && flags.changed(name)) {
      throw badArguments(`empty string is passed to --${name} option`)
    }
    return path
  }
  return { cert: file('cert'), key: file('key'), cacert: file('cacert') }
}

/** TLS settings, or undefined when endpoints without a scheme are to be reached in plain text. */
async function readTls(flags: FlagSet, { cert, key, cacert }: TlsFiles): Promise<TlsOptions | undefined> {
  if ((cert === '') !== (key === '')) {
    throw badArguments(`KeyFile and CertFile must both be present[key: ${key}, cert: ${cert}]`)
  }
  const plain = cert === '' && cacert === '' && flags.bool('insecure-transport')
  const skipVerify = flags.bool('insecure-skip-tls-verify')
  if (plain && !skipVerify) return undefined
  return {
    ...(cert !== '' && { certificate: await readTlsFile(cert), key: await readTlsFile(key) }),
    ...(cacert !== '' && { authorities: await readTlsFile(cacert) }),
    skipVerify,
    // Without a certificate an endpoint has to say https to be reached over TLS.
    onlyOnRequest: plain,
  }
}

async function readTlsFile(path: string): Promise<Uint8Array> {
  try {
    return await readFile(path)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    const why =
      code === 'ENOENT'
        ? 'no such file or directory'
        : code === 'EACCES'
          ? 'permission denied'
          : errorText(error)
    throw badArguments(`open ${path}: ${why}`)
  }
}

/** User and password, or token; asks for a password that is not given. */
async function credentialsOf({ flags, io }: Invocation): Promise<Credentials | undefined> {
  const token = flags.text('auth-jwt-token')
  if (token !== '') return { token }
  const user = flags.text('user')
  if (user === '') return undefined
  const password = flags.text('password')
  if (password !== '') return { name: user, password }
  const colon = user.indexOf(':')
  if (colon >= 0) return { name: user.slice(0, colon), password: user.slice(colon + 1) }
  return { name: user, password: await io.readSecret('Password: ') }
}

function limitsOf(flags: FlagSet): Pick<ClientOptions, 'maxSendBytes' | 'maxReceiveBytes'> {
  const send = Number(flags.integer('max-request-bytes'))
  const receive = Number(flags.integer('max-recv-bytes'))
  return { ...(send > 0 && { maxSendBytes: send }), ...(receive > 0 && { maxReceiveBytes: receive }) }
}
