package search

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// fillBuilder adds messages that have some of as many trigrams as there are, each with
// a text of so many octets.
func fillBuilder(b *builder, rng *rand.Rand, messages, octets, letters int) {
	text := make([]byte, octets)
	for n := range messages {
		for i := range text {
			text[i] = byte(rng.IntN(letters))
		}
		b.add(text)
		b.end(docKey{1, uint32(n)})
	}
}

// TestBlockOrder: postings are in order within their buckets, and all there, in blocks of
// few trigrams that have many messages, and of many; also in one that is made in the
// memory of another.
func TestBlockOrder(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	b := newBuilder(0)
	for _, c := range []struct{ messages, octets, letters int }{{0, 0, 1}, {1, 3, 1}, {500, 50, 3}, {20, 20_000, 256}, {3, 100, 2}} {
		fillBuilder(b, rng, c.messages, c.octets, c.letters)
		var want [buckets][]uint64
		at := 0
		for doc, end := range b.ends {
			for ; at < end; at++ {
				n := bucketOf(b.grams[at])
				want[n] = append(want[n], uint64(b.grams[at])<<docBits|uint64(doc))
			}
		}
		ends, start := b.sort(), 0
		for n, end := range ends {
			slices.Sort(want[n])
			if !slices.Equal(b.postings[start:end], want[n]) {
				t.Fatalf("%+v: bucket %d is %x, want %x", c, n, b.postings[start:end], want[n])
			}
			start = end
		}
		b.encode()
	}
}

// TestBlockIsReproducible: a builder that was used before, and was given a message that
// could not be read, makes the same block as a new one.
func TestBlockIsReproducible(t *testing.T) {
	used := newBuilder(0)
	fillBuilder(used, rand.New(rand.NewPCG(3, 4)), 50, 1000, 30)
	used.encode()
	var blocks [2][]byte
	for i, b := range []*builder{used, newBuilder(0)} {
		fillBuilder(b, rand.New(rand.NewPCG(1, 2)), 300, 1000, 20)
		if i == 0 {
			b.add([]byte("of a message that cannot be read"))
			b.drop()
		}
		blocks[i] = b.encode()
	}
	if !bytes.Equal(blocks[0], blocks[1]) {
		t.Error("the blocks differ")
	}
}

// BenchmarkBlock is that of blocks behind the first, which takes new memory.
func BenchmarkBlock(b *testing.B) {
	block := newBuilder(0)
	fill := func() { fillBuilder(block, rand.New(rand.NewPCG(1, 2)), 1500, 3000, 30) }
	fill()
	block.encode()
	postings := 0
	var encoding time.Duration
	for b.Loop() {
		fill()
		postings += len(block.grams)
		start := time.Now()
		block.encode()
		encoding += time.Since(start)
	}
	b.ReportMetric(float64(encoding.Nanoseconds())/float64(postings), "ns/posting")
}
