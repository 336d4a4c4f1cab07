import { textOf } from './errors.ts'
import { parseBool, parseDuration, parseInteger, quote } from './go-values.ts'
import { splitHostPort } from './urls.ts'

type FlagType = 'string' | 'strings' | 'bool' | 'int' | 'uint' | 'uint32' | 'duration'

/** Type, default as the help shows it (empty: none), help. */
type Row = readonly [type: FlagType, byDefault: string, help: string]

type Command = 'gateway' | 'grpc-proxy'

/** Arguments of an `exit` result: code, and what is written. */
type Outcome = readonly [code: number, written: { stdout?: string; stderr?: string }]

const gatewayFlags: Readonly<Record<string, Row>> = {
  'discovery-srv': ['string', '', 'domain whose SRV records name the members'],
  'discovery-srv-name': ['string', '', 'service name in those records'],
  endpoints: ['strings', '[127.0.0.1:2379]', 'members, separated by commas'],
  'insecure-discovery': ['bool', '', 'accept SRV records without TLS'],
  'listen-addr': ['string', '"127.0.0.1:23790"', 'address to listen on'],
  'retry-delay': ['duration', '1m0s', 'time for which an endpoint that failed is left alone'],
  'trusted-ca-file': ['string', '', 'authorities that sign the certificates of discovered members'],
}

const grpcProxyFlags: Readonly<Record<string, Row>> = {
  'advertise-client-url': ['string', '"127.0.0.1:23790"', 'address at which clients reach this proxy'],
  'auto-tls': ['bool', '', 'serve with a certificate made by the proxy itself'],
  cacert: ['string', '', 'authorities that sign certificates of members'],
  cert: ['string', '', 'certificate shown to members'],
  'cert-file': ['string', '', 'certificate shown to clients'],
  'client-crl-file': ['string', '', 'revocation list for certificates of clients'],
  'data-dir': ['string', '"default.proxy"', 'folder for what the proxy keeps'],
  debug: ['bool', '', 'log at debug level'],
  'discovery-srv': ['string', '', 'domain whose SRV records name the members'],
  'discovery-srv-name': ['string', '', 'service name in those records'],
  'enable-pprof': ['bool', '', 'serve runtime profiles below /debug/pprof/'],
  endpoints: ['strings', '[127.0.0.1:2379]', 'members, separated by commas'],
  'endpoints-auto-sync-interval': ['duration', '', 'time between looks at the list of members, 0 for never'],
  'experimental-leasing-prefix': [
    'string',
    '',
    'prefix of the leasing keys for linearizable reads without a member',
  ],
  'experimental-serializable-ordering': ['bool', '', 'never answer with an older revision than before'],
  'grpc-keepalive-interval': ['duration', '2h0m0s', 'time without traffic after which a client is pinged'],
  'grpc-keepalive-min-time': ['duration', '5s', 'shortest time that a client must leave between two pings'],
  'grpc-keepalive-timeout': ['duration', '20s', 'wait for the answer to a ping'],
  'insecure-discovery': ['bool', '', 'accept SRV records without TLS'],
  'insecure-skip-tls-verify': ['bool', '', 'do not verify certificates of members; for tests'],
  key: ['string', '', 'key of cert'],
  'key-file': ['string', '', 'key of cert-file'],
  'listen-addr': ['string', '"127.0.0.1:23790"', 'address to listen on'],
  'listen-cipher-suites': ['strings', '', 'TLS 1.2 cipher suites for clients'],
  'max-concurrent-streams': ['uint32', '4294967295', 'most calls that one client connection may have open'],
  'max-recv-bytes': ['int', '2147483647', 'largest message received (default value is math.MaxInt32)'],
  'max-send-bytes': ['int', '1572864', 'largest message sent (default value is 1.5 MiB)'],
  'metrics-addr': ['string', '', 'further address for /metrics'],
  namespace: ['string', '', 'prefix put before every key'],
  'resolver-prefix': ['string', '', 'prefix under which the proxy registers itself'],
  'resolver-ttl': ['int', '', 'seconds for which a registration lives'],
  'self-signed-cert-validity': ['uint', '1', 'years for which certificates of auto-tls are valid'],
  'trusted-ca-file': ['string', '', 'authorities that sign certificates of clients'],
}

const commands = {
  gateway: { about: 'start a TCP proxy', group: 'gateway related command', flags: gatewayFlags },
  'grpc-proxy': { about: 'start a gRPC proxy', group: 'grpc-proxy related command', flags: grpcProxyFlags },
} as const

/**
 * Answers `etcd gateway` and `etcd grpc-proxy` up to the point where the proxy would start: help, bad flags and bad
 * addresses as etcd does, then that this release has no proxies.
 */
export function runSubcommand(command: Command, args: readonly string[]): Outcome {
  const start = args[0] === 'start'
  const { group, about, flags } = commands[command]
  const usage = start ? startUsage(command) : groupUsage(command)
  const parsed = parse(start ? args.slice(1) : args, start ? flags : {})
  if (parsed.kind === 'refused') return [1, { stderr: `Error: ${parsed.error}\n${usage}\n` }]
  if (parsed.kind === 'help' || !start) return [0, { stdout: `${start ? about : group}\n\n${usage}` }]
  if (command === 'gateway') {
    const bad = (parsed.given.get('endpoints') ?? '')
      .split(',')
      .find((endpoint) => endpoint !== '' && !isAddress(endpoint))
    if (bad !== undefined) return [1, { stdout: `error parsing endpoint ${quote(bad)}` }]
    const listen = parsed.given.get('listen-addr')
    if (listen !== undefined && !isAddress(listen)) {
      return [1, { stdout: `failed to validate listen address: ${listen}\n` }]
    }
  }
  return [1, { stderr: `etcd ${command} start is not supported by this release\n` }]
}

function isAddress(text: string): boolean {
  const parts = splitHostPort(text.replace(/^\w+:\/\//, ''))
  return parts !== undefined && /^\d+$/.test(parts.port)
}

type Parsed =
  | { readonly kind: 'parsed'; readonly given: ReadonlyMap<string, string> }
  | { readonly kind: 'help' }
  | { readonly kind: 'refused'; readonly error: string }

/** Two dashes are needed; a value stands behind `=` or in the next argument; other arguments may stand anywhere. */
function parse(args: readonly string[], flags: Readonly<Record<string, Row>>): Parsed {
  const given = new Map<string, string>()
  for (let at = 0; at < args.length; at++) {
    const argument = args[at] ?? ''
    if (argument === '--') break
    if (!argument.startsWith('-') || argument === '-') continue
    if (!argument.startsWith('--')) {
      if (argument[1] === 'h') return { kind: 'help' }
      return { kind: 'refused', error: `unknown shorthand flag: '${argument[1]}' in ${argument}` }
    }
    const equals = argument.indexOf('=')
    const name = argument.slice(2, equals < 0 ? undefined : equals)
    if (name === 'help') return { kind: 'help' }
    const [type] = (Object.hasOwn(flags, name) ? flags[name] : undefined) ?? []
    if (type === undefined) return { kind: 'refused', error: `unknown flag: --${name}` }
    let value = equals < 0 ? undefined : argument.slice(equals + 1)
    if (value === undefined && type === 'bool') value = 'true'
    if (value === undefined && at + 1 === args.length) {
      return { kind: 'refused', error: `flag needs an argument: --${name}` }
    }
    value ??= args[++at] ?? ''
    const fault = faultOf(type, value)
    if (fault !== undefined) {
      return { kind: 'refused', error: `invalid argument ${quote(value)} for "--${name}" flag: ${fault}` }
    }
    given.set(name, value)
  }
  return { kind: 'parsed', given }
}

function faultOf(type: FlagType, text: string): string | undefined {
  switch (type) {
    case 'string':
    case 'strings':
      return undefined
    case 'bool':
      return parseBool(text) === undefined
        ? `strconv.ParseBool: parsing ${quote(text)}: invalid syntax`
        : undefined
    case 'duration':
      try {
        parseDuration(text)
        return undefined
      } catch (error) {
        return textOf(error)
      }
    case 'int':
    case 'uint':
    case 'uint32': {
      const value = parseInteger(text, { signed: type === 'int', bits: type === 'uint32' ? 32 : 64 })
      if (typeof value === 'bigint') return undefined
      const reason = value === 'range' ? 'value out of range' : 'invalid syntax'
      return `strconv.Parse${type === 'int' ? 'Int' : 'Uint'}: parsing ${quote(text)}: ${reason}`
    }
  }
}

function groupUsage(command: Command): string {
  return [
    'Usage:',
    `  etcd ${command} [command]`,
    '',
    'Available Commands:',
    `  start       ${commands[command].about}`,
    '',
    'Flags:',
    `  -h, --help   help for ${command}`,
    '',
    `Use "etcd ${command} [command] --help" for more information about a command.`,
    '',
  ].join('\n')
}

function startUsage(command: Command): string {
  const rows = Object.entries(commands[command].flags).map(([name, row]) => ({
    name,
    ...describe(name, row),
  }))
  rows.push({ name: 'help', flag: '  -h, --help', help: 'help for start' })
  rows.sort((a, b) => (a.name < b.name ? -1 : 1))
  const width = Math.max(...rows.map(({ flag }) => flag.length)) + 3
  const lines = rows.map(({ flag, help }) => flag.padEnd(width) + help)
  return ['Usage:', `  etcd ${command} start [flags]`, '', 'Flags:', ...lines, ''].join('\n')
}

function describe(name: string, [type, byDefault, help]: Row): { flag: string; help: string } {
  return {
    flag: `      --${name}${type === 'bool' ? '' : ` ${type}`}`,
    help: byDefault === '' ? help : `${help} (default ${byDefault})`,
  }
}
