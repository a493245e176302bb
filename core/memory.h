// Gives freed memory back to the kernel.
#pragma once

namespace p2prc {

// Call it after something large was read and freed. glibc keeps freed memory below the top of its heap for
// itself (malloc_trim(3)), and a process that was large for a moment would stay so.
void release_freed_memory() noexcept;

} // namespace p2prc
