// Command interop is the other side of blockwire's interop tests: go-libp2p, written from docs/wire.md alone.
//
//	interop chat [MULTIADDR]                       lines of /chat/1.0.0 between stdin and stdout; listens without an address
//	interop gossip NETWORK GENESIS MULTIADDR...    joins blocks/1 and txs/1 with status handshakes; "topic hex" lines in and out
//	interop headers NETWORK GENESIS MULTIADDR      downloads all headers and prints each as hex
package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p"
	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multiaddr"
	"google.golang.org/protobuf/encoding/protowire"
)

const deadline = 60 * time.Second

func main() {
	ctx := context.Background()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New("usage: interop chat|gossip|headers ...")
	}
	h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.DisableRelay())
	if err != nil {
		return err
	}
	defer h.Close()
	switch {
	case args[0] == "chat" && len(args) == 1:
		return listen(h)
	case args[0] == "chat" && len(args) == 2:
		return dialChat(ctx, h, args[1])
	case args[0] == "gossip" && len(args) > 3:
		return gossip(ctx, h, args[1], args[2], args[3:])
	case args[0] == "headers" && len(args) == 4:
		return headers(ctx, h, args[1], args[2], args[3])
	}
	return fmt.Errorf("unknown command %q", args)
}

// Section 5.2: what go-libp2p's chat example does.

const chatProtocol = protocol.ID("/chat/1.0.0")

func listen(h host.Host) error {
	done := make(chan error, 1)
	h.SetStreamHandler(chatProtocol, func(s network.Stream) { done <- converse(s) })
	fmt.Printf("listening %s/p2p/%s\n", h.Addrs()[0], h.ID())
	return <-done
}

func dialChat(ctx context.Context, h host.Host, address string) error {
	id, err := connect(ctx, h, address)
	if err != nil {
		return err
	}
	s, err := h.NewStream(ctx, id, chatProtocol)
	if err != nil {
		return err
	}
	return converse(s)
}

// converse copies lines both ways until the other side has no more to say.
func converse(s network.Stream) error {
	go func() {
		lines := bufio.NewReader(os.Stdin)
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				s.CloseWrite()
				return
			}
			if _, err := s.Write([]byte(line)); err != nil {
				return
			}
		}
	}()
	lines := bufio.NewReader(s)
	for {
		line, err := lines.ReadString('\n')
		if err == io.EOF {
			fmt.Println("end")
			return s.Close()
		}
		if err != nil {
			return err
		}
		fmt.Printf("line %s", line)
	}
}

// Section 4: topics.

func gossip(ctx context.Context, h host.Host, net, genesisHex string, addresses []string) error {
	genesis, err := hex.DecodeString(genesisHex)
	if err != nil {
		return err
	}
	ps, err := pubsub.NewGossipSub(ctx, h,
		pubsub.WithMessageSignaturePolicy(pubsub.StrictNoSign),
		pubsub.WithNoAuthor(),
		pubsub.WithMaxMessageSize(4<<20),
		pubsub.WithMessageIdFn(messageID))
	if err != nil {
		return err
	}
	topics := map[string]*pubsub.Topic{}
	var out sync.Mutex
	for _, name := range []string{"blocks", "txs"} {
		topic, err := ps.Join(fmt.Sprintf("/blockwire/%s/%s/1", chainName(net, genesisHex), name))
		if err != nil {
			return err
		}
		sub, err := topic.Subscribe()
		if err != nil {
			return err
		}
		topics[name] = topic
		go func() {
			for {
				message, err := sub.Next(ctx)
				if err != nil {
					return
				}
				if message.ReceivedFrom == h.ID() {
					continue
				}
				out.Lock()
				fmt.Printf("%s %x\n", name, message.Data)
				out.Unlock()
			}
		}()
	}
	for _, address := range addresses {
		id, err := connect(ctx, h, address)
		if err != nil {
			return err
		}
		s, err := status(ctx, h, id, net, genesis)
		if err != nil {
			return err
		}
		// heads are not needed here, and must be read all the same
		go io.Copy(io.Discard, s)
	}
	for _, topic := range topics {
		for len(topic.ListPeers()) < len(addresses) {
			time.Sleep(20 * time.Millisecond)
		}
	}
	fmt.Println("ready")
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 4<<20)
	for lines.Scan() {
		name, text, _ := strings.Cut(lines.Text(), " ")
		data, err := hex.DecodeString(text)
		if err != nil || topics[name] == nil {
			return fmt.Errorf("cannot publish %q", lines.Text())
		}
		if err := topics[name].Publish(ctx, data); err != nil {
			return err
		}
	}
	return lines.Err()
}

func messageID(m *pb.Message) string {
	sum := sha256.Sum256(append(append([]byte(m.GetTopic()), 0), m.GetData()...))
	return string(sum[:20])
}

// Section 1: the handshake, as a light node that stands at genesis.

func status(ctx context.Context, h host.Host, id peer.ID, net string, genesis []byte) (network.Stream, error) {
	s, err := h.NewStream(ctx, id, "/blockwire/status/1")
	if err != nil {
		return nil, err
	}
	s.SetReadDeadline(time.Now().Add(deadline))
	var head, hello []byte
	head = bytesField(head, 1, genesis)
	hello = uintField(hello, 1, 1)
	hello = bytesField(hello, 2, []byte(net))
	hello = bytesField(hello, 3, genesis)
	fork := crc32.ChecksumIEEE(genesis)
	hello = bytesField(hello, 4, []byte{byte(fork >> 24), byte(fork >> 16), byte(fork >> 8), byte(fork)})
	hello = uintField(hello, 7, 1)
	hello = bytesField(hello, 9, head)
	if err := writeFrame(s, bytesField(nil, 1, hello)); err != nil {
		return nil, err
	}
	messages := bufio.NewReader(s)
	answer, err := readFrame(messages, 4096)
	if err != nil {
		return nil, err
	}
	fields, err := fieldsOf(answer)
	if err != nil {
		return nil, err
	}
	if fields[1] == nil {
		return nil, fmt.Errorf("no hello: %x", answer)
	}
	theirs, err := fieldsOf(fields[1].bytes)
	if err != nil {
		return nil, err
	}
	if theirs[3] == nil || !bytes.Equal(theirs[3].bytes, genesis) {
		// both sides see that, and the other one says so
		answer, err := readFrame(messages, 4096)
		if err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("refused: %x", answer)
	}
	s.SetReadDeadline(time.Time{})
	return s, nil
}

// Section 3: headers, each page after the last one of the page before.

func headers(ctx context.Context, h host.Host, net, genesisHex, address string) error {
	genesis, err := hex.DecodeString(genesisHex)
	if err != nil {
		return err
	}
	id, err := connect(ctx, h, address)
	if err != nil {
		return err
	}
	if _, err := status(ctx, h, id, net, genesis); err != nil {
		return err
	}
	at := genesis
	for {
		page, more, err := headersAfter(ctx, h, id, chainName(net, genesisHex), at)
		if err != nil {
			return err
		}
		for _, header := range page {
			if !strings.Contains(string(header), string(at)) {
				return fmt.Errorf("%x does not name %x", header, at)
			}
			hash := sha256.Sum256(header)
			at = hash[:]
			fmt.Printf("header %x\n", header)
		}
		if !more {
			fmt.Printf("head %x\n", at)
			return nil
		}
	}
}

func headersAfter(ctx context.Context, h host.Host, id peer.ID, chain string, hash []byte) ([][]byte, bool, error) {
	s, err := h.NewStream(ctx, id, protocol.ID("/blockwire/"+chain+"/sync/1"))
	if err != nil {
		return nil, false, err
	}
	defer s.Close()
	s.SetDeadline(time.Now().Add(deadline))
	request := uintField(bytesField(nil, 1, hash), 2, 3)
	if err := writeFrame(s, bytesField(nil, 1, request)); err != nil {
		return nil, false, err
	}
	if err := s.CloseWrite(); err != nil {
		return nil, false, err
	}
	stream := bufio.NewReader(s)
	var items [][]byte
	for {
		frame, err := readFrame(stream, 65_536+16)
		if err != nil {
			return nil, false, err
		}
		fields, err := fieldsOf(frame)
		if err != nil {
			return nil, false, err
		}
		switch {
		case fields[1] != nil:
			for rest := fields[1].bytes; len(rest) > 0; {
				item, n := protowire.ConsumeBytes(rest)
				if n < 0 {
					return nil, false, protowire.ParseError(n)
				}
				items = append(items, item)
				rest = rest[n:]
			}
		case fields[2] != nil:
			end, err := fieldsOf(fields[2].bytes)
			if err != nil {
				return nil, false, err
			}
			if count := end[2].number(); count != uint64(len(items)) {
				return nil, false, fmt.Errorf("the end says %d items, %d came", count, len(items))
			}
			return items, end[1].number() == 1, nil
		default:
			return nil, false, fmt.Errorf("refused: %x", frame)
		}
	}
}

// Common ground: section 0.

func chainName(net, genesisHex string) string { return net + "-" + genesisHex[:8] }

func connect(ctx context.Context, h host.Host, address string) (peer.ID, error) {
	at, err := multiaddr.NewMultiaddr(address)
	if err != nil {
		return "", err
	}
	info, err := peer.AddrInfoFromP2pAddr(at)
	if err != nil {
		return "", err
	}
	return info.ID, h.Connect(ctx, *info)
}

func bytesField(to []byte, field protowire.Number, value []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(to, field, protowire.BytesType), value)
}

func uintField(to []byte, field protowire.Number, value uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(to, field, protowire.VarintType), value)
}

type field struct {
	value uint64
	bytes []byte
}

// number is 0 for a field that is not there.
func (f *field) number() uint64 {
	if f == nil {
		return 0
	}
	return f.value
}

func fieldsOf(message []byte) (map[protowire.Number]*field, error) {
	fields := map[protowire.Number]*field{}
	for len(message) > 0 {
		number, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return nil, protowire.ParseError(n)
		}
		message = message[n:]
		found := &field{}
		switch kind {
		case protowire.VarintType:
			found.value, n = protowire.ConsumeVarint(message)
		case protowire.BytesType:
			found.bytes, n = protowire.ConsumeBytes(message)
		default:
			n = protowire.ConsumeFieldValue(number, kind, message)
		}
		if n < 0 {
			return nil, protowire.ParseError(n)
		}
		fields[number] = found
		message = message[n:]
	}
	return fields, nil
}

func writeFrame(to io.Writer, message []byte) error {
	_, err := to.Write(protowire.AppendBytes(nil, message))
	return err
}

func readFrame(from io.ByteReader, limit uint64) ([]byte, error) {
	var prefix []byte
	for {
		next, err := from.ReadByte()
		if err != nil {
			return nil, err
		}
		prefix = append(prefix, next)
		if next < 0x80 || len(prefix) == 8 {
			break
		}
	}
	length, n := protowire.ConsumeVarint(prefix)
	if n < 0 || length > limit {
		return nil, fmt.Errorf("a frame of %d bytes", length)
	}
	frame := make([]byte, length)
	for i := range frame {
		next, err := from.ReadByte()
		if err != nil {
			return nil, err
		}
		frame[i] = next
	}
	return frame, nil
}
