import type { Histogram } from './histogram.ts'
import type { Labels } from './labelled-values.ts'
import type { Counters } from './counters.ts'

export interface Sample {
  readonly labels: Labels
  readonly value: number
  /** Where it is not the family's own: the parts of a histogram. */
  readonly metricName?: string
}

/** Samples of one name, as they are read from the fields. */
export interface Family {
  readonly name: string
  readonly type: 'counter' | 'gauge' | 'histogram'
  readonly help: string
  readonly read: (metrics: Counters) => readonly Sample[]
}

const NONE: Labels = {}
type Read<T> = (metrics: Counters) => T

export function counter(name: string, help: string, read: Read<number>): Family {
  return { name, help, type: 'counter', read: (metrics) => [{ labels: NONE, value: read(metrics) }] }
}

export function gauge(name: string, help: string, read: Read<number | boolean>): Family {
  return { name, help, type: 'gauge', read: (metrics) => [{ labels: NONE, value: Number(read(metrics)) }] }
}

/** A gauge that is 1 and says what it says with a label; there is no sample while the text is empty. */
export function info(name: string, help: string, label: string, read: Read<string>): Family {
  const one = (text: string): readonly Sample[] =>
    text === '' ? [] : [{ labels: { [label]: text }, value: 1 }]
  return { name, help, type: 'gauge', read: (metrics) => one(read(metrics)) }
}

export function labelled(
  type: 'counter' | 'gauge',
  name: string,
  help: string,
  read: Read<readonly Sample[]>,
): Family {
  return { name, help, type, read }
}

export function histogram(name: string, help: string, read: Read<Histogram>): Family {
  return histograms(name, help, (metrics) => [{ labels: NONE, histogram: read(metrics) }])
}

export function histograms(
  name: string,
  help: string,
  read: Read<readonly { readonly labels: Labels; readonly histogram: Histogram }[]>,
): Family {
  return {
    name,
    help,
    type: 'histogram',
    read: (metrics) => read(metrics).flatMap((child) => parts(name, child.labels, child.histogram)),
  }
}

function parts(name: string, labels: Labels, { bounds, counts, sum }: Histogram): Sample[] {
  const samples: Sample[] = []
  let count = 0
  for (const [index, own] of counts.entries()) {
    count += own
    const le = index < bounds.length ? String(bounds[index]) : '+Inf'
    samples.push({ metricName: `${name}_bucket`, labels: { le, ...labels }, value: count })
  }
  samples.push(
    { metricName: `${name}_sum`, labels, value: sum },
    { metricName: `${name}_count`, labels, value: count },
  )
  return samples
}
