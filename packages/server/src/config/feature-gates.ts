import { ConfigError } from './errors.ts'
import { parseBool, quote } from './go-values.ts'

/** The features that `--feature-gates` turns on and off, with their defaults. */
const defaults = {
  StopGRPCServiceOnDefrag: false,
  TxnModeWriteWithSharedBuffer: true,
  InitialCorruptCheck: false,
  CompactHashCheck: false,
  LeaseCheckpoint: false,
  LeaseCheckpointPersist: false,
  SetMemberLocalAddr: false,
  FastLeaseKeepAlive: true,
  PriorityRequest: false,
}
/** The ones of the second stage; all others are of the first, `alpha`. */
const beta: ReadonlySet<string> = new Set(['TxnModeWriteWithSharedBuffer', 'FastLeaseKeepAlive'])

export type FeatureName = keyof typeof defaults
export type Features = Readonly<Record<FeatureName, boolean>>
/** What was asked for; a feature that is not there keeps its default. */
export type FeatureGates = Readonly<Partial<Record<FeatureName, boolean>>>

const featureNames = Object.keys(defaults).filter((name) => isFeature(name))

export function isFeature(name: string): name is FeatureName {
  return Object.hasOwn(defaults, name)
}

/** Every feature, as its default or as asked for. */
export function resolveFeatures(asked: FeatureGates): Features {
  const features: Record<FeatureName, boolean> = { ...defaults }
  for (const name of featureNames) features[name] = asked[name] ?? defaults[name]
  return features
}

/**
 * Reads `NAME=true,NAME=false`. `AllAlpha` and `AllBeta` stand for the features of a stage and yield to a feature
 * that is named itself.
 *
 * @throws ConfigError
 */
export function parseFeatureGates(list: string): FeatureGates {
  const named: Partial<Record<FeatureName, boolean>> = {}
  const staged: Partial<Record<FeatureName, boolean>> = {}
  for (const entry of list.split(',').filter((text) => text !== '')) {
    const [name, value] = readEntry(entry)
    if (name === 'AllAlpha' || name === 'AllBeta') {
      for (const feature of featureNames)
        if (beta.has(feature) === (name === 'AllBeta')) staged[feature] = value
    } else if (isFeature(name)) {
      named[name] = value
    } else {
      throw new ConfigError(`unrecognized feature gate: ${name}`)
    }
  }
  return { ...staged, ...named }
}

function readEntry(entry: string): readonly [string, boolean] {
  const at = entry.indexOf('=')
  const name = (at < 0 ? entry : entry.slice(0, at)).trim()
  if (at < 0) throw new ConfigError(`missing bool value for ${name}`)
  const text = entry.slice(at + 1).trim()
  const value = parseBool(text)
  if (value === undefined) {
    const reason = `strconv.ParseBool: parsing ${quote(text)}: invalid syntax`
    throw new ConfigError(`invalid value of ${name}=${text}, err: ${reason}`)
  }
  return [name, value]
}
