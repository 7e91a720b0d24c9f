package imapserver

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/angarium/angarium/internal/doubling"
)

// TestBinaryPieces: RFC 3516 §4.2 <partial>. Pieces of a part, in any order and of
// any length, are those of the whole, whatever was read before.
func TestBinaryPieces(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	plain := make([]byte, 60_000)
	for i := range plain {
		plain[i] = byte(1 + rng.IntN(255))
	}
	var lines strings.Builder
	for rest := base64.StdEncoding.EncodeToString(plain); rest != ""; {
		n := min(len(rest), 1+rng.IntN(90))
		lines.WriteString(rest[:n] + "\r\n" + strings.Repeat(" ", rng.IntN(2)))
		rest = rest[n:]
	}
	quoted := strings.Repeat("a=3D b=\r\nc =C3=BC\r\n", 2000)
	text := strings.Repeat("as it is\r\n", 4000)
	m := "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Transfer-Encoding: base64\r\n\r\n" + lines.String() +
		"\r\n--b\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n" + quoted + "\r\n--b\r\n\r\n" + text + "\r\n--b--\r\n"
	want := map[int]string{1: string(plain), 2: strings.Repeat("a= bc ü\r\n", 2000), 3: text}

	commands := fmt.Sprintf("a LOGIN ada secret\r\nb APPEND INBOX {%d+}\r\n%s\r\nc SELECT INBOX\r\n", len(m), m)
	var answers []string
	ask := func(part, offset, count int) {
		commands += fmt.Sprintf("d FETCH 1 BINARY.PEEK[%d]<%d.%d>\r\n", part, offset, count)
		whole := want[part]
		piece := whole[min(offset, len(whole)):min(offset+count, len(whole))]
		answers = append(answers, fmt.Sprintf("* 1 FETCH (BINARY[%d]<%d> {%d}\r\n%s)\r\nd OK", part, offset, len(piece), piece))
	}
	for part, whole := range want {
		for offset := 0; offset <= len(whole); offset += 7000 {
			ask(part, offset, 7000)
		}
	}
	for range 200 {
		part := 1 + rng.IntN(3)
		ask(part, rng.IntN(len(want[part])+10), 1+rng.IntN(20_000))
	}
	out := newTestServer(t, Options{}).talk(t, []byte(commands))
	for _, a := range answers {
		a = strings.Replace(a, "{0}\r\n)", `"")`, 1)
		i := strings.Index(out, "* 1 FETCH (BINARY")
		if i < 0 || !strings.HasPrefix(out[i:], a) {
			t.Fatalf("%.200q\nwant %.100q", out[max(i, 0):], a)
		}
		out = out[i+len(a):]
	}
}

// TestBinaryPiecesGrow: a part that is read in pieces is decoded once, not from its
// start for each.
func TestBinaryPiecesGrow(t *testing.T) {
	for _, quoted := range []bool{false, true} {
		doubling.Check(t, "quoted "+strconv.FormatBool(quoted), 200<<10, func(n int) func() {
			text := bytes.Repeat([]byte("QUJD"), n/4)
			return func() {
				p := binaryPart{octets: io.NewSectionReader(bytes.NewReader(text), 0, int64(len(text))), encoding: "base64"}
				if quoted {
					p.encoding = "quoted-printable"
				}
				buf := make([]byte, 4096)
				for offset := int64(0); ; offset += int64(len(buf)) {
					k, _ := p.from(offset).Read(buf)
					if k == 0 {
						return
					}
					p.known = p.place()
				}
			}
		})
	}
}
