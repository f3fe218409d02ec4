# What the tests of faiss_ivf share: a table of vectors, proofs of an index, and
# crashes of a whole server.

package MmTest;

use strict;
use warnings;

use Exporter 'import';
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

our @EXPORT = qw($dims vec_function init_node start_psql check_index crash long_mode);

our $dims = 24;

# Whether this is make stress, not make test.
sub long_mode
{
	return $ENV{MMODAL_TEST_LONG} ? 1 : 0;
}

# Something like an embedding, from a number.
sub vec_function
{
	return qq{
CREATE FUNCTION vec(i int) RETURNS embedding LANGUAGE sql IMMUTABLE AS \$\$
	SELECT array_agg(sin(i * (j + 1) * 0.7) + sin(i % 17 * j))::float8[]::embedding($dims)
	FROM generate_series(1, $dims) j
\$\$;};
}

# init_node(NAME, CONF, ...): a node with the given lines of configuration; other
# arguments go to PostgreSQL::Test::Cluster->new.
sub init_node
{
	my ($name, $conf, %new) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name, %new);
	$node->init(allows_streaming => 1, extra => [ '-E', 'UTF8', '--locale=C.UTF-8' ]);
	$node->append_conf('postgresql.conf', "autovacuum = off\nfsync = off\n$conf");
	$node->start;
	$node->safe_psql('postgres', 'CREATE EXTENSION mmodal; ' . vec_function());
	return $node;
}

# Have a psql run a script beside us; what it prints goes to the given references.
my $scripts;
my $nscripts = 0;

sub start_psql
{
	my ($node, $script, $out, $err) = @_;
	$scripts ||= PostgreSQL::Test::Utils::tempdir();
	my $path = "$scripts/" . ++$nscripts . '.sql';
	my ($ignored_out, $ignored_err) = ('', '');
	append_to_file($path, $script);
	return IPC::Run::start(
		[ 'psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres'), '-f', $path ],
		'<' => \'',
		'>' => $out || \$ignored_out,
		'2>' => $err || \$ignored_err);
}

# Prove the index, and that it gives as many rows as the table has.
sub check_index
{
	my ($node, $name, $table) = @_;
	$table ||= 't';
	my $rows = $node->safe_psql('postgres', "SELECT count(*) FROM $table");
	is($node->safe_psql('postgres', "SELECT mmodal_index_check('${table}_idx')"),
		$rows, "$name: index_check has seen every row");
	is( $node->safe_psql(
			'postgres',
			"SET enable_seqscan = off; SET enable_sort = off;
			 SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM $table ORDER BY e <=> vec(1)) x"),
		"$rows|$rows",
		"$name: a scan gives every row once");
}

# Processes of a server, its postmaster first.
sub server_processes
{
	my $postmaster = shift;
	my @children;
	foreach my $path (glob '/proc/[0-9]*/stat')
	{
		open my $file, '<', $path or next;
		my $line = <$file>;
		close $file;
		# pid (name, which may hold anything) state ppid
		push @children, $1 if defined $line && $line =~ /^(\d+) \(.*\) \S (\d+)/s && $2 == $postmaster;
	}
	return ($postmaster, @children);
}

# Stop every process of the server where it stands, then kill them all: to kill
# the postmaster alone would let running statements finish.
sub crash
{
	my $node = shift;
	my ($postmaster) = split /\n/, slurp_file($node->data_dir . '/postmaster.pid');
	kill 'STOP', $postmaster;
	# none is forked any more
	my @processes = server_processes($postmaster);
	kill 'STOP', @processes;
	kill 'KILL', reverse @processes[1 .. $#processes];
	$node->kill9;
	foreach (1 .. 1000)
	{
		last unless grep { is_alive($_) } @processes;
		sleep 0.01;
	}
	# A zombie that nobody waits for holds nothing, but the next server, which can
	# only ask whether there is a process of that number, would not start.
	unlink $node->data_dir . '/postmaster.pid',
	  $node->host . '/.s.PGSQL.' . $node->port . '.lock';
}

sub is_alive
{
	my $process = shift;
	open my $file, '<', "/proc/$process/stat" or return 0;
	my $line = <$file>;
	return defined $line && $line !~ /\) [ZX] /;
}

1;
