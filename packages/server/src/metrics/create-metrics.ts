import { type Metric, Registry } from 'prom-client'
import { familiesOf } from './families.ts'
import type { Family, Sample } from './family.ts'
import { addProcessMetrics } from './process-metrics.ts'
import { Counters } from './counters.ts'

/** The fields to count in, and the page that shows them. */
export interface ServerMetrics extends Counters {
  /** The answer to `GET /metrics`, in Prometheus' text format. */
  render(): Promise<{ readonly contentType: string; readonly body: string }>
}

/**
 * Starts counting.
 *
 * @param options `extensive` adds histograms of gRPC calls, which are a dozen samples for each method
 */
export function createMetrics(options: { readonly extensive?: boolean } = {}): ServerMetrics {
  const { extensive = false } = options
  const metrics = new Counters(extensive)
  const registry = new Registry()
  for (const family of familiesOf(extensive)) register(registry, family, metrics)
  addProcessMetrics(registry)
  return Object.assign(metrics, { render: () => render(metrics, registry) })
}

async function render(metrics: Counters, registry: Registry): Promise<{ contentType: string; body: string }> {
  metrics.beforeRender()
  metrics.scrapes.inFlight++
  try {
    const body = await registry.metrics()
    metrics.scrapes.total.add(1, '200')
    return { contentType: registry.contentType, body }
  } catch (error) {
    metrics.scrapes.total.add(1, '500')
    throw error
  } finally {
    metrics.scrapes.inFlight--
  }
}

interface Collected {
  readonly name: string
  readonly help: string
  readonly type: Family['type']
  readonly aggregator: 'sum'
  readonly values: readonly Sample[]
}

/**
 * Puts a family into the registry. The registry asks no more of a metric than its name and a `get`, though its types
 * ask for one of its own classes; those keep their values themselves, in maps that are too slow to count in.
 */
function register(registry: Registry, family: Family, metrics: Counters): void {
  const { name, help, type, read } = family
  const get = (): Promise<Collected> =>
    Promise.resolve({ name, help, type, aggregator: 'sum', values: read(metrics) })
  registry.registerMetric({ name, get } as unknown as Metric)
}
