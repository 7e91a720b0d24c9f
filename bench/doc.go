// Package bench measures the hot paths from the client's octets to the store
// and back: a benchmark for each, with what it allocates.
//
//	go test -run '^$' -bench . -benchmem ./bench
//
// Server and client are in one process, connected over loopback; the store is the
// real one, in /dev/shm where there is one, so that what is measured is the work
// and not the disk. The folders below hold commands that show how the server grows
// and behaves on a machine. Benchmarks of single packages are beside their code.
package bench
