/** The name of the chain's network. Nodes of another network, block time or genesis are refused and told why. */
export const NETWORK = 'hello'
