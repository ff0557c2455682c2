package descriptor

// A Reader is the Receive of a Descriptor with an argument and results: into says where the data goes, for example a batch of frames.
// It creates the closure for Descriptor.Receive once, so that receiving does not allocate.
type Reader[T any] struct {
	descriptor *Descriptor
	attempt    Attempt[T]
	retry      func(fd uintptr) bool

	// The argument and the results of the call of Receive that is under way.
	into T
	n    int
	err  error
}

// An Attempt reads the available data without waiting. It returns the number of items that it has read, such as frames, or an error. If it
// returns neither, wait reports whether to wait for the kernel. If wait is false, the Attempt was interrupted, or the data that it read
// contained no item; Receive then calls it again. An Attempt must not repeat itself until it has an item, because the other functions of
// the Loop have their turns between two Attempts, and Close waits for an Attempt.
type Attempt[T any] func(fd uintptr, into T) (n int, wait bool, err error)

// NewReader returns a Reader of d, which the caller still owns.
func NewReader[T any](d *Descriptor, attempt Attempt[T]) *Reader[T] {
	r := &Reader[T]{descriptor: d, attempt: attempt}
	r.retry = func(fd uintptr) bool {
		var wait bool
		r.n, wait, r.err = r.attempt(fd, r.into)
		return !wait
	}
	return r
}

// Receive makes attempts until one returns items or an error, and returns them. Its other errors are those of Descriptor.Receive. One
// goroutine at a time may call it.
func (r *Reader[T]) Receive(into T) (int, error) {
	r.into, r.n, r.err = into, 0, nil
	for r.n == 0 && r.err == nil {
		if err := r.descriptor.Receive(r.retry); err != nil {
			return 0, err
		}
	}
	return r.n, r.err
}
