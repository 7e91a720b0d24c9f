package inflate

// windowMax is how far back a match reaches (RFC 1951 §2).
const windowMax = 32 << 10

// windowMin is the least memory for what was put out.
const windowMin = 512

// match repeats octets that were put out before.
func (r *run) match() bool {
	z := r.z
	for z.left > 0 {
		if r.n == len(r.dst) {
			z.full = true
			return false
		}
		from := r.n - z.back
		if from < 0 { // put out before this call
			i := (z.at + from) & (len(z.ring) - 1)
			k := copy(r.dst[r.n:], z.ring[i:min(len(z.ring), i+min(z.left, -from))])
			r.n, z.left = r.n+k, z.left-k
			continue
		}
		// What is copied may be what is being put out: at most back at a time.
		k := copy(r.dst[r.n:], r.dst[from:from+min(z.left, z.back)])
		r.n, z.left = r.n+k, z.left-k
	}
	z.step = stepSymbol
	return true
}

// remember keeps what was put out, for matches of later calls.
func (z *Reader) remember(p []byte) {
	z.total = min(z.total+len(p), windowMax)
	if z.step == stepEnded {
		z.ring = nil
		return
	}
	if z.total > len(z.ring) {
		z.grow()
	}
	if len(p) > len(z.ring) {
		p = p[len(p)-len(z.ring):]
	}
	for len(p) > 0 {
		k := copy(z.ring[z.at:], p)
		z.at, p = (z.at+k)&(len(z.ring)-1), p[k:]
	}
}

// grow makes room for total octets. A ring that is too small was never
// written past its end, so that its octets stand in their order.
func (z *Reader) grow() {
	size := max(windowMin, len(z.ring))
	for size < z.total {
		size *= 2
	}
	ring := make([]byte, size)
	if z.at == 0 {
		z.at = len(z.ring)
	}
	copy(ring, z.ring[:z.at])
	z.ring = ring
}
