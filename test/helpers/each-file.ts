import { vi } from 'vitest'

// Before each file of `npm test`, several of which run one after the other in a process. What is loaded from the build and from
// node_modules stays; what is under test/ is loaded anew, with the hooks that it registers and what it keeps. Clock and globals are
// the real ones again, whatever the file before left.
vi.resetModules()
vi.useRealTimers()
vi.unstubAllGlobals()
