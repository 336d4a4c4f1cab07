import { buildConfig, type Addresses } from './build-config.ts'
import { parseCommandLine, withoutSecrets } from './command-line.ts'
import { BareFileError, readConfigFile } from './config-file.ts'
import { detectDefaultHost, type ReadFile } from './default-host.ts'
import { applyEnvironment, CONFIG_FILE_VARIABLE, type Environment } from './environment.ts'
import { ConfigError, textOf } from './errors.ts'
import type { FlagName } from './flag-table.ts'
import type { FlagValues } from './flag-values.ts'
import { flagListText, usageText } from './help.ts'
import { UnknownLogLevel } from './log-settings.ts'
import { note, type Note } from './notes.ts'
import type { ServerConfig } from './server-config.ts'
import { runSubcommand } from './subcommands.ts'
import { checkTlsFiles } from './tls-files.ts'
import { withHost, type EndpointUrl } from './urls.ts'
import { ADVERTISE_CLIENT_URLS_REQUIRED, validate } from './validate.ts'
import { versionText } from './version.ts'

/** What the command line asks for. The notes go to the log, in order and before anything else. */
export type ServerArguments =
  | { readonly kind: 'run'; readonly config: ServerConfig; readonly notes: readonly Note[] }
  | {
      readonly kind: 'exit'
      readonly code: number
      readonly stdout: string
      readonly stderr: string
      /** For a log with the default settings. */
      readonly notes: readonly Note[]
    }

type Exit = Extract<ServerArguments, { kind: 'exit' }>

function exit(code: number, rest: Partial<Omit<Exit, 'kind' | 'code'>> = {}): Exit {
  return { kind: 'exit', code, stdout: '', stderr: '', notes: [], ...rest }
}

/**
 * Reads command line, environment and configuration file, and checks them, as etcd does: the same precedence, the same
 * refusals, in the same order.
 *
 * @param argv without the program's own name
 * @param readFile for the configuration file and the system's route tables
 * @param defaultHost finds the address to advertise when listening on all; throws when there is none
 */
export function parseServerArguments(
  argv: readonly string[],
  env: Environment,
  readFile: ReadFile,
  defaultHost: () => string = () => detectDefaultHost(readFile),
): ServerArguments {
  const running = note('info', 'Running: ', { args: ['etcd', ...withoutSecrets(argv)] })
  const [command] = argv
  if (command === 'gateway' || command === 'grpc-proxy') return exit(...runSubcommand(command, argv.slice(1)))
  const line = parseCommandLine(argv)
  if (line.kind === 'help') return exit(0, { stdout: flagListText(), stderr: usageText })
  if (line.kind === 'refused') return exit(2, { stderr: `${line.error}\n${usageText}` })
  const [stray] = line.rest
  if (stray !== undefined) {
    return failed([...line.notes, running], new ConfigError(`'${stray}' is not a valid flag`))
  }
  if (line.values.get('version')) return exit(0, { stdout: versionText() })

  const notes: Note[] = [...line.notes]
  try {
    const file = line.values.get('config-file') || (env[CONFIG_FILE_VARIABLE] ?? '')
    if (file !== '') {
      const values = readValuesFromFile(file, readFile, notes)
      notes.push(running)
      return configure(values, [], notes, defaultHost)
    }
    const fromEnvironment = applyEnvironment(line.values, line.given, env)
    notes.push(...fromEnvironment.notes)
    if (fromEnvironment.failure?.kind === 'conflict') return conflict(notes, fromEnvironment.failure.error)
    notes.push(running)
    if (fromEnvironment.failure !== undefined) throw new ConfigError(fromEnvironment.failure.error)
    return configure(line.values, ['listen-client-urls'], notes, defaultHost)
  } catch (error) {
    if (error instanceof BareFileError) return exit(1, { stderr: `${error.message}\n`, notes })
    if (error instanceof ConfigError)
      return failed(notes.includes(running) ? notes : [...notes, running], error)
    throw error
  }
}

function readValuesFromFile(path: string, readFile: ReadFile, notes: Note[]): FlagValues {
  let text: string
  try {
    text = readFile(path)
  } catch (error) {
    throw new ConfigError(`open ${path}: ${systemFault(error)}`, { cause: error })
  }
  const values = readConfigFile(text)
  notes.push(
    note(
      'info',
      'loaded server configuration, other configuration command line flags and environment variables will be ignored if provided',
      { path },
    ),
  )
  return values
}

/** The system's words for an error of `node:fs`, which speaks of `ENOENT: no such file or directory, open 'x'`. */
function systemFault(error: unknown): string {
  return /^E[A-Z]+: ([^,]*)/.exec(textOf(error))?.[1] ?? textOf(error)
}

/**
 * @param tied flags that, when given, must be accompanied by the addresses to advertise
 */
function configure(
  values: FlagValues,
  tied: readonly FlagName[],
  notes: Note[],
  defaultHost: () => string,
): ServerArguments {
  const clientUrlsMissing =
    tied.some((name) => values.isGiven(name) && values.get('listen-client-urls').length > 0) &&
    (!values.isGiven('advertise-client-urls') || values.get('advertise-client-urls').length === 0)
  const hasDiscovery =
    values.get('discovery') !== '' ||
    values.get('discovery-srv') !== '' ||
    values.get('discovery-endpoints').length > 0
  const asGiven: Addresses = {
    advertisePeerUrls: values.get('initial-advertise-peer-urls'),
    advertiseClientUrls: clientUrlsMissing ? [] : values.get('advertise-client-urls'),
    initialCluster: hasDiscovery && !values.isGiven('initial-cluster') ? '' : values.get('initial-cluster'),
  }
  validate(values, { ...asGiven, clientUrlsMissing: clientUrlsMissing && values.get('proxy') === 'off' })

  const addresses = settleAddresses(values, asGiven, notes, defaultHost)
  if (values.get('data-dir') === '') {
    notes.push(
      note('warn', "'data-dir' was empty; using default", { 'data-dir': `${values.get('name')}.etcd` }),
    )
  }
  try {
    const config = buildConfig(values, addresses)
    const warnings = checkTlsFiles(config)
    return { kind: 'run', config, notes: [...notes, ...warnings] }
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return exit(1, { notes: [...notes, note('fatal', 'discovery failed', { error: error.message })] })
  }
}

const DEFAULT_PEER_URL = 'http://localhost:2380'
const DEFAULT_CLIENT_URL = 'http://localhost:2379'
const DEFAULT_CLUSTER = `default=${DEFAULT_PEER_URL}`

/**
 * Makes defaults useful on a network: a member that listens on 0.0.0.0 and was not told what to advertise advertises
 * the address of the default route, and a member with a name of its own stands in the list of members under it.
 */
function settleAddresses(
  values: FlagValues,
  given: Addresses,
  notes: Note[],
  defaultHost: () => string,
): Addresses {
  let host: string | undefined
  const detected = (): string | undefined => {
    if (host !== undefined) return host
    try {
      host = defaultHost()
      notes.push(note('info', 'detected default host for advertise', { host }))
    } catch (error) {
      notes.push(note('info', 'failed to detect default host', { error: textOf(error) }))
    }
    return host
  }
  const settle = (
    advertised: readonly EndpointUrl[],
    byDefault: string,
    listen: EndpointUrl | undefined,
  ): readonly EndpointUrl[] => {
    const [first] = advertised
    if (advertised.length !== 1 || first?.text !== byDefault || listen?.hostname !== '0.0.0.0')
      return advertised
    const address = detected()
    return address === undefined
      ? advertised
      : [withHost(first, `${address.includes(':') ? `[${address}]` : address}:${listen.port}`)]
  }
  const advertisePeerUrls = settle(
    given.advertisePeerUrls,
    DEFAULT_PEER_URL,
    values.get('listen-peer-urls')[0],
  )
  const name = values.get('name')
  const named = name !== 'default' && given.initialCluster === DEFAULT_CLUSTER
  return {
    advertisePeerUrls,
    advertiseClientUrls: settle(
      given.advertiseClientUrls,
      DEFAULT_CLIENT_URL,
      values.get('listen-client-urls')[0],
    ),
    initialCluster: named
      ? advertisePeerUrls.map((url) => `${name}=${url.text}`).join(',')
      : given.initialCluster,
  }
}

function failed(notes: readonly Note[], error: ConfigError): Exit {
  const all = [...notes, note('warn', 'failed to verify flags', { error: error.message })]
  if (error.message === ADVERTISE_CLIENT_URLS_REQUIRED) {
    all.push(note('warn', 'advertise client URLs are not set', { error: error.message }))
  }
  return exit(error instanceof UnknownLogLevel ? 2 : 1, { notes: all })
}

function conflict(notes: readonly Note[], variable: string): Exit {
  const message =
    'conflicting environment variable is shadowed by corresponding command-line flag (either unset environment variable or disable flag))'
  return exit(1, { notes: [...notes, note('fatal', message, { 'environment-variable': variable })] })
}
