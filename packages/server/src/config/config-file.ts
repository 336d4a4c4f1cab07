/**
 * The configuration file: a flat YAML map with the names of the flags as keys, a few of them in maps of their own.
 * Values are typed as etcd types them (durations are nanoseconds, URL lists are comma-separated texts), and what is
 * refused is refused with its texts: those of a YAML reader that hands JSON to Go's decoder.
 */
import { isAlias, isMap, isScalar, isSeq, parseDocument, type Document, type Scalar } from 'yaml'
import { ConfigError } from './errors.ts'
import { flagTable } from './flag-table.ts'
import { integerType, readFlagValue, type FlagRow, type FlagValue } from './flag-types.ts'
import { FlagValues } from './flag-values.ts'
import { parseInteger } from './go-values.ts'
import { yamlFault } from './yaml-fault.ts'

/** Maps of the file, with the names that Go's decoder gives to the types in its errors. */
const sections: Readonly<Record<string, { readonly typeName: string; readonly structName: string }>> = {
  'client-transport-security': { typeName: 'embed.securityConfig', structName: 'securityConfig' },
  'peer-transport-security': { typeName: 'embed.securityConfig', structName: 'securityConfig' },
  'socket-options': { typeName: 'transport.SocketOpts', structName: 'SocketOpts' },
  'discovery-config': { typeName: 'v3discovery.DiscoveryConfig', structName: 'DiscoveryConfig' },
}

/** A bad value that etcd reports without any log line around it. */
export class BareFileError extends ConfigError {}

type Yaml = null | boolean | number | string | readonly Yaml[] | ReadonlyMap<string, Yaml>

/**
 * @param text contents of the file
 * @returns the flags that the file sets; a key without a value counts as absent, an unknown key is nobody's business
 * @throws ConfigError, or BareFileError for those that etcd prints alone
 */
export function readConfigFile(text: string): FlagValues {
  const root = readYaml(text)
  const values = new FlagValues()
  if (root === null) return values
  if (!isYamlMap(root)) throw new ConfigError(undecodable(root, 'Go value of type embed.configYAML'))
  for (const row of flagTable) {
    if (row.yaml === null) continue
    const value = lookUp(root, row.yaml ?? [row.name])
    if (value !== undefined && value !== null) setFromFile(values, row, value)
  }
  return values
}

function lookUp(root: ReadonlyMap<string, Yaml>, path: readonly string[]): Yaml | undefined {
  let at: Yaml | undefined = root
  for (const [depth, key] of path.entries()) {
    if (at === undefined || at === null) return undefined
    if (!isYamlMap(at)) {
      const section = path[depth - 1] ?? ''
      throw new ConfigError(
        undecodable(at, `Go struct field configYAML.${section} of type ${sections[section]?.typeName}`),
      )
    }
    at = at.get(key) ?? getAnyCase(at, key)
  }
  return at
}

/** Go's decoder takes a key in any case when there is none in the right one. */
function getAnyCase(map: ReadonlyMap<string, Yaml>, key: string): Yaml | undefined {
  for (const [name, value] of map) if (name.toLowerCase() === key) return value
  return undefined
}

function setFromFile(values: FlagValues, row: (typeof flagTable)[number], value: Yaml): void {
  const path = row.yaml ?? [row.name]
  const structName = path.length === 1 ? 'configYAML' : sections[path[0] ?? '']?.structName
  const place = (goType: string): string =>
    `Go struct field ${structName}.${path.join('.')} of type ${goType}`
  const refuse = (goType: string, shown = ''): ConfigError =>
    new ConfigError(undecodable(value, place(goType), shown))
  const integer = integerType(row.kind)
  if (integer !== undefined || row.kind === 'duration') {
    const goType = integer?.goType ?? 'time.Duration'
    const fits = integer ?? { signed: true, bits: 64 }
    if (typeof value !== 'number') throw refuse(goType)
    if (!isInside(value, fits)) throw refuse(goType, ` ${value}`)
    values.setValue(row, row.kind === 'duration' ? value / 1e6 : value)
  } else if (row.kind === 'bool') {
    if (typeof value !== 'boolean') throw refuse('bool')
    values.setValue(row, value)
  } else if (Array.isArray(value) && takesList(row)) {
    const list = value.map((item) => {
      if (typeof item === 'string') return item
      throw new ConfigError(undecodable(item, place('string')))
    })
    values.setValue(row, row.kind === 'set' ? [...new Set(list)] : list)
  } else {
    if (row.yamlList === true) throw refuse('[]string')
    if (row.kind === 'gates' && isYamlMap(value)) values.setValue(row, readText(row, gatesText(value)))
    else if (typeof value !== 'string') throw refuse('string')
    // An address list without an address is one that was left out.
    else if (value !== '' || row.kind !== 'urls') values.setValue(row, readText(row, value))
  }
}

function takesList(row: FlagRow): boolean {
  return row.yamlList === true || row.kind === 'set'
}

function gatesText(gates: ReadonlyMap<string, Yaml>): string {
  return [...gates].map(([name, value]) => `${name}=${typeof value === 'boolean' ? value : ''}`).join(',')
}

function readText(row: FlagRow, text: string): FlagValue {
  try {
    return readFlagValue(row, text)
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    if (row.name === 'initial-cluster-state')
      throw new ConfigError(`unexpected clusterState "${text}"`, { cause: error })
    const name = shownNames[row.name] ?? row.name
    throw new BareFileError(`unexpected error setting up ${name}: ${error.message}`, { cause: error })
  }
}

/** Names in those messages that are not the key's own. */
const shownNames: Readonly<Record<string, string>> = {
  'advertise-client-urls': 'advertise-peer-urls',
  'discovery-fallback': 'discovery-fallback flag',
  proxy: 'proxyFlag',
}

function isInside(value: number, type: { signed: boolean; bits: number }): boolean {
  const bound = 2 ** (type.signed ? type.bits - 1 : type.bits)
  return Number.isInteger(value) && value < bound && value >= (type.signed ? -bound : 0)
}

function isYamlMap(value: Yaml): value is ReadonlyMap<string, Yaml> {
  return value instanceof Map
}

function undecodable(value: Yaml, place: string, shown = ''): string {
  const kind = isYamlMap(value)
    ? 'object'
    : Array.isArray(value)
      ? 'array'
      : typeof value === 'boolean'
        ? 'bool'
        : typeof value
  return `error unmarshaling JSON: while decoding JSON: json: cannot unmarshal ${kind}${shown} into ${place}`
}

/** Words that YAML 1.1 takes for truth values, beside `true` and `false`. */
const words = new Map([
  ...['y', 'Y', 'yes', 'Yes', 'YES', 'on', 'On', 'ON'].map((word) => [word, true] as const),
  ...['n', 'N', 'no', 'No', 'NO', 'off', 'Off', 'OFF'].map((word) => [word, false] as const),
])

function readYaml(text: string): Yaml {
  const document = parseDocument(text, { uniqueKeys: false, version: '1.2', logLevel: 'silent' })
  if (document.errors.length > 0) throw new ConfigError(yamlFault(document.errors, text))
  return convert(document.contents, document, new Set())
}

/** @param above the nodes that hold this one */
function convert(node: unknown, document: Document.Parsed, above: Set<unknown>): Yaml {
  if (isScalar(node)) return scalar(node)
  if (isAlias(node)) {
    const target = node.resolve(document)
    if (target === undefined)
      throw new ConfigError(unconvertible(`unknown anchor '${node.source}' referenced`))
    if (above.has(target))
      throw new ConfigError(unconvertible(`anchor '${node.source}' value contains itself`))
    return convert(target, document, above)
  }
  if (!isSeq(node) && !isMap(node)) return null
  above.add(node)
  const result: Yaml = isSeq(node)
    ? node.items.map((item) => convert(item, document, above))
    : new Map(node.items.map((pair) => [keyText(pair.key), convert(pair.value, document, above)]))
  above.delete(node)
  return result
}

function keyText(key: unknown): string {
  return String(isScalar(key) ? key.value : key)
}

function scalar({ value, type, source }: Scalar): Yaml {
  if (type === 'PLAIN') {
    const word = words.get(source ?? '')
    if (word !== undefined) return word
    const integer = parseInteger(source ?? '', { signed: true, bits: 64 })
    if (typeof integer === 'bigint') return Number(integer)
  }
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') return value
  return typeof value === 'bigint' ? Number(value) : null
}

function unconvertible(reason: string): string {
  return `error converting YAML to JSON: yaml: ${reason}`
}
