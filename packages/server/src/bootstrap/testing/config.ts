import { type DiscoveryConfig, type ServerConfig, parseServerArguments } from '../../config/index.ts'

/** The configuration that a command line makes. */
export function configOf(...args: readonly string[]): ServerConfig {
  const parsed = parseServerArguments(args, {}, () => {
    throw new Error('no files here')
  })
  if (parsed.kind !== 'run') throw new Error(parsed.stderr + JSON.stringify(parsed.notes.at(-1)))
  return parsed.config
}

/** No discovery. */
export const discoveryConfig: DiscoveryConfig = configOf().discovery
