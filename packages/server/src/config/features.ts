import { ConfigError } from './errors.ts'
import {
  isFeature,
  resolveFeatures,
  type FeatureGates,
  type FeatureName,
  type Features,
} from './feature-gates.ts'
import { flagTable } from './flag-table.ts'
import type { FlagValues } from './flag-values.ts'

/**
 * The features of `--feature-gates` and of the older flags that stand for single ones.
 *
 * @throws ConfigError when a feature is given in both ways
 */
export function readFeatures(values: FlagValues): Features {
  const gates = values.get('feature-gates')
  const older: Partial<Record<FeatureName, boolean>> = {}
  for (const row of flagTable) {
    if (row.gate === undefined || !isFeature(row.gate) || !values.isGiven(row.name)) continue
    const value = values.get(row.name) === true
    const enabled = gates[row.gate]
    if (enabled !== undefined) {
      const gate = `--feature-gates=${row.gate}=${enabled}`
      throw new ConfigError(
        `cannot specify both flags: --${row.name}=${value} and ${gate} at the same time, please just use ${gate}`,
      )
    }
    older[row.gate] = value
  }
  const asked: FeatureGates = { ...older, ...gates }
  return resolveFeatures(asked)
}
