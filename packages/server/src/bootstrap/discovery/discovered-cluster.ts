import { parseInitialCluster } from '../../config/index.ts'
import { DiscoveryError } from './discovery-error.ts'

/**
 * Joins what members have said of themselves.
 *
 * @param values NAME=URL,.. of each
 * @param fault what it is called when one of them cannot be read
 * @returns the members as `--initial-cluster` lists them
 * @throws DiscoveryError when one cannot be read, or two share a name
 */
export function clusterOf(values: readonly string[], fault: 'invalidUrl' | 'invalidPeerUrl'): string {
  const text = values.join(',')
  let names: number
  try {
    names = parseInitialCluster(text).size
  } catch (error) {
    throw new DiscoveryError(fault, { cause: error })
  }
  if (names !== values.length) throw new DiscoveryError('duplicateName')
  return text
}
