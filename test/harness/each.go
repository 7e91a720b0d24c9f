package harness

import (
	"fmt"
	"sync"
	"sync/atomic"
)

// Each calls fn for 0 <= i < n, eight at a time. It returns the first error,
// after which no more is begun.
func Each(n int, fn func(i int) error) error {
	var next atomic.Int64
	var failed atomic.Pointer[error]
	var wg sync.WaitGroup
	for range min(8, n) {
		wg.Go(func() {
			for failed.Load() == nil {
				i := int(next.Add(1) - 1)
				if i >= n {
					return
				}
				if err := fn(i); err != nil {
					err = fmt.Errorf("%d of %d: %w", i, n, err)
					failed.CompareAndSwap(nil, &err)
				}
			}
		})
	}
	wg.Wait()
	if err := failed.Load(); err != nil {
		return *err
	}
	return nil
}
