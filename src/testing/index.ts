/**
 * @packageDocumentation
 * For tests of apps and of this library: rules of the cheapest chain there can be, blocks on any parent, a clock turned by hand, and whole networks in memory.
 * Nothing here waits for a fixed time.
 */
export { HandClock } from './clock.js'
export { createNetwork, type Network, type NetworkInit, oneHead, until } from './network.js'
export {
  buildBlock,
  buildChain,
  growChain,
  type TestBlock,
  type TestBlockOptions,
  type TestHeader,
  type TestRulesOptions,
  type TestTx,
  testRules
} from './rules.js'
