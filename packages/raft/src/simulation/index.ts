/** The simulation of a group, for tests that give its members a real store. */
export {
  type MemberStore,
  StoreDamage,
  type StoreWrite,
  type StoredState,
  applyWrite,
  emptyState,
  holdsEntry,
  isBlank,
} from './member-store.ts'
export type { Plant } from './plants.ts'
export { SimRandom } from './sim-random.ts'
export { ROUNDS, Simulation, type SimulationOptions, type SimulationResult } from './simulation.ts'
