#include "core/memory.h"

#include <malloc.h>

namespace p2prc {

void release_freed_memory() noexcept {
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}

} // namespace p2prc
