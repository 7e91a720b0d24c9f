package message

import (
	"bytes"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"

	"golang.org/x/text/transform"
)

// TestTextDecoder compares one decoder that is used for many texts, some of which
// are not read to their end, with a new one for each and with the library's.
func TestTextDecoder(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	octets := []byte("ab=\r\n\n=C3=BC=?\x1b$BA(\xe9\xff\x81\x00\xd8+/Ag==-~{")
	var used TextDecoder
	for n := range 4000 {
		text := make([]byte, rng.IntN(1+1<<rng.IntN(15)))
		for i := range text {
			text[i] = octets[rng.IntN(len(octets))]
		}
		encodings := []string{"", "base64", "quoted-printable"}
		charsets := []string{"utf-8", "iso-8859-1", "utf-16", "iso-2022-jp", "gb18030", "shift_jis", "utf-7", "hz-gb-2312", "x-unknown"}
		part := &Part{Encoding: encodings[rng.IntN(3)], Params: []Param{{"charset", charsets[rng.IntN(len(charsets))]}}}
		body := func() io.Reader {
			switch n % 3 {
			case 0:
				return iotest.DataErrReader(bytes.NewReader(text))
			case 1:
				return iotest.HalfReader(bytes.NewReader(text))
			}
			return bytes.NewReader(text)
		}
		if n%5 == 0 {
			used.Reader(body(), part).Read(make([]byte, 3))
			continue
		}
		got, err := io.ReadAll(used.Reader(body(), part))
		fresh, freshErr := io.ReadAll(TextReader(body(), part))
		if !bytes.Equal(got, fresh) || err != freshErr {
			t.Fatalf("%+v of %q: used again %q, %v; new %q, %v", part, text, got, err, fresh, freshErr)
		}
		if e, _ := Charset(part.Params[0].Value); e != nil {
			want, wantErr := io.ReadAll(transform.NewReader(new(TextDecoder).transfer(body(), part.Encoding), e.NewDecoder()))
			if !bytes.Equal(got, want) || err != wantErr {
				t.Fatalf("%+v of %q: %q, %v; the library %q, %v", part, text, got, err, want, wantErr)
			}
		}
	}
}
