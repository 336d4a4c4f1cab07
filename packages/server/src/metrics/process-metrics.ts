// oxlint-disable-next-line no-restricted-imports -- facts about the process, not files of the member
import { readFileSync } from 'node:fs'
import { collectDefaultMetrics, Gauge, type Registry } from 'prom-client'

/** The largest 64-bit number, which stands for "no limit". */
const UNLIMITED = 2 ** 64

/** Adds what is known of the process and its runtime, event loop delay included. */
export function addProcessMetrics(registry: Registry): void {
  collectDefaultMetrics({ register: registry })
  const limit = readAddressSpaceLimit()
  if (limit === undefined) return // only Linux tells these
  const max = new Gauge({
    name: 'process_virtual_memory_max_bytes',
    help: 'Virtual memory that the process may have.',
    registers: [registry],
  })
  max.set(limit)
  mirror(registry, 'os_fd_used', 'File descriptors in use.', 'process_open_fds')
  mirror(registry, 'os_fd_limit', 'File descriptors that the process may have.', 'process_max_fds')
}

/** Shows a gauge under a second name. */
function mirror(registry: Registry, name: string, help: string, source: string): void {
  const second = new Gauge({
    name,
    help,
    registers: [],
    async collect() {
      const value = (await registry.getSingleMetric(source)?.get())?.values[0]?.value
      if (value !== undefined) this.set(value)
    },
  })
  registry.registerMetric(second)
}

function readAddressSpaceLimit(): number | undefined {
  let limits: string
  try {
    limits = readFileSync('/proc/self/limits', 'utf8')
  } catch {
    return undefined // this system has no such file
  }
  const soft = /^Max address space +(\S+)/m.exec(limits)?.[1]
  return soft === undefined ? undefined : soft === 'unlimited' ? UNLIMITED : Number(soft)
}
