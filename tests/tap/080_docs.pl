# Every SQL snippet of README.md and docs/ runs.
#
# A page is run as one psql session in a database of its own, which tests/docs/setup.sql
# has filled; so a later snippet sees what an earlier one made.  A statement with $1, $2
# is prepared and executed with something of the right type.  A page may have comments
# that its readers do not see:
#
#	<!-- sql
#	statements that prepare what the next snippet needs
#	-->
#	<!-- not run: why -->		before a snippet that cannot run here

use strict;
use warnings;

use File::Copy qw(copy);
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $docs = $ENV{MMODAL_TEST_DOCS};
plan skip_all => 'no docs' unless $docs && -d $docs;

my $node = PostgreSQL::Test::Cluster->new('docs');
$node->init(allows_streaming => 1, extra => [ '-E', 'UTF8', '--locale=C.UTF-8' ]);
my $models = PostgreSQL::Test::Utils::tempdir();
$node->append_conf('postgresql.conf', qq{
mmodal.model_path = '\$sharedir/mmodal/models:$models'
autovacuum = off
wal_level = logical
});
$node->start;

# CLIP's weights cannot be had; a small model of that name has random ones.
my ($share) = run_command([ 'pg_config', '--sharedir' ]);
my $clip = 'clip-vit-base-patch32';
my @checkpoint = glob "$share/mmodal/checkpoints/wide-hf-f32-calm/*";
mkdir "$models/$clip" or die "mkdir: $!";
foreach (@checkpoint) { copy($_, "$models/$clip/") or die "copy: $!" }

my $photo = unpack 'H*', slurp_file("$ENV{MMODAL_TEST_DATA}/orange.jpg");
# pages read pictures where psql runs
my $pictures = PostgreSQL::Test::Utils::tempdir();
copy("$ENV{MMODAL_TEST_DATA}/orange.png", "$pictures/$_") or die "copy: $!" foreach 'CLIP.png', 'CLIP-224.png';
mkdir "$pictures/tests" or die "mkdir: $!";
symlink $ENV{MMODAL_TEST_DATA}, "$pictures/tests/data" or die "symlink: $!";
my %argument = (
	'bytea' => "'\\x$photo'::bytea",
	'embedding' => "clip_embed('a bowl of strawberries')",
	'text' => "'an apple'",
	'text[]' => "ARRAY['apple', 'pear']",
	'integer' => '3',
	'bigint' => '3',
	'real' => '0.5');
my $arguments = join ' ', map { "WHEN '$_' THEN \$v\$$argument{$_}\$v\$" } sort keys %argument;

# Executes the prepared statement "doc" with them.
my $execute = qq{SELECT 'EXECUTE doc(' || (
	SELECT string_agg(CASE t::text $arguments END, ', ' ORDER BY n)
	FROM unnest(parameter_types) WITH ORDINALITY AS p (t, n)) || ')'
FROM pg_prepared_statements WHERE name = 'doc' \\gexec
DEALLOCATE doc;
};

# A snippet, its statements with parameters prepared and executed.
sub runnable
{
	my ($sql) = @_;
	return $sql unless $sql =~ /\$\d/;
	die "a snippet with parameters and a dollar-quoted string: $sql" if $sql =~ /\$\$/;
	my $run = '';
	# statements end at the end of a line, behind which there may be a comment
	foreach my $statement (split /(?<=;)[ \t]*(?:--[^\n]*)?\n/, $sql)
	{
		my $body = $statement =~ s/^(?:\s*--[^\n]*\n)+//r;
		$run .= $statement =~ /\$\d/ ? "PREPARE doc AS $body\n$execute" : "$statement\n";
	}
	return $run;
}

# [line, SQL, hidden or why it is not run] of each snippet of a page.
sub snippets
{
	my ($page) = @_;
	my (@found, $end, $line, $sql, $skip);
	my $number = 0;
	foreach (split /\n/, slurp_file("$docs/$page"))
	{
		$number++;
		if (defined $end)
		{
			if (/^\s*$end\s*$/)
			{
				push @found, [ $line, $sql, $end eq '-->' ? 'hidden' : $skip ];
				($end, $skip) = ();
			}
			else { $sql .= "$_\n" }
		}
		elsif (/^\s*```sql$/) { ($end, $line, $sql) = ('```', $number, '') }
		elsif (/^<!-- sql$/) { ($end, $line, $sql) = ('-->', $number, '') }
		elsif (/^\s*<!-- not run: (.*) -->$/) { $skip = $1 }
		# nothing passes by as a plain block
		elsif (/^(?: {4,}|\t)(?:SELECT|CREATE|ALTER|SET|UPDATE|INSERT|CALL|DELETE|EXPLAIN|REINDEX|VACUUM|DROP|GRANT|REVOKE) /)
		{
			fail("$page:$number: SQL that is not in a sql block: $_");
		}
	}
	die "$page:$line: a block without an end" if defined $end;
	return @found;
}

# Run a page; the errors of each snippet by its number.
sub run_page
{
	my ($page, $database, @snippets) = @_;
	my $script = slurp_file("$docs/setup.sql") . "\\set ON_ERROR_STOP off\n\\set photo '\\\\x$photo'\n";
	$script .= "\\warn \@\@$_\n" . runnable($snippets[$_][1])
	  foreach grep { ($snippets[$_][2] // 'hidden') eq 'hidden' } 0 .. $#snippets;
	my $file = PostgreSQL::Test::Utils::tempdir() . '/page.sql';
	append_to_file($file, $script);
	my ($out, $err) = ('', '');
	IPC::Run::run([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr($database), '-f', $file ],
		'<' => \'', '>' => \$out, '2>' => \$err, init => sub { chdir $pictures or die "chdir: $!" });
	my ($setup, @parts) = split /^\@\@(\d+)\n/m, $err, -1;
	is($setup // '', '', "$page: set up");
	my %said = @parts;
	return \%said;
}

foreach my $page ('README.md', map { s/.*\///r } sort grep { !/README/ } glob "$docs/*.md")
{
	my @snippets = snippets($page);
	next unless @snippets;
	my $database = lc($page =~ s/\W/_/gr);
	$node->safe_psql('postgres', "CREATE DATABASE $database");
	my $said = run_page($page, $database, @snippets);
	foreach (0 .. $#snippets)
	{
		my ($line, $sql, $note) = @{ $snippets[$_] };
		SKIP:
		{
			skip "$page:$line: $note", 1 if ($note // 'hidden') ne 'hidden';
			my $errors = join "\n", grep { /(ERROR|FATAL|PANIC|error|invalid command|unterminated)\b/ } split /\n/, $said->{$_} // 'ERROR: was not reached';
			is($errors, '', "$page:$line");
		}
	}
}

done_testing();
