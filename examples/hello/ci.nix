# Everything below is plain Nix: no nixpkgs, no network. The only program the builds use is the
# shell every Nix sandbox has, and of that only its built-in commands, so they run anywhere.
{
  system ? builtins.currentSystem,
}:
let
  # A derivation whose one output is the file that a shell script writes to "$out".
  file =
    name: environment: script:
    derivation (
      environment
      // {
        inherit name system;
        builder = "/bin/sh";
        args = [
          "-eu"
          (builtins.toFile "${name}.sh" script)
        ];
      }
    );

  # Prints a file; the sandbox's shell has no `cat` on every system.
  show = ''
    show() {
      while read -r line; do echo "$line"; done < "$1"
    }
  '';

  greeting = file "greeting.txt" { source = ./greeting.txt; } ''
    ${show}
    echo "taking the greeting from $source"
    show "$source" > "$out"
  '';

  card =
    language: salutation: ending:
    file "card-${language}.txt" { inherit greeting salutation ending; } ''
      ${show}
      {
        echo "$salutation"
        show "$greeting"
        echo "$ending"
      } > "$out"
    '';

  # The matrix: every language in every tone. `recurseForDerivations` lets CI look inside a set.
  tones = language: formal: casual: {
    recurseForDerivations = true;
    formal = card "${language}-formal" formal.salutation formal.ending;
    casual = card "${language}-casual" casual.salutation casual.ending;
  };

  cards = {
    recurseForDerivations = true;
    english = tones "english" {
      salutation = "Dear reader,";
      ending = "Yours faithfully";
    } { salutation = "Hi!"; ending = "See you"; };
    german = tones "german" {
      salutation = "Sehr geehrte Leserin,";
      ending = "Hochachtungsvoll";
    } { salutation = "Hallo!"; ending = "Bis bald"; };
  };

  # Needs all four cards, so it is built last.
  book =
    file "book.txt"
      {
        pages = [
          cards.english.formal
          cards.english.casual
          cards.german.formal
          cards.german.casual
        ];
      }
      ''
        ${show}
        number=0
        for page in $pages; do
          number=$((number + 1))
          echo "binding page $number" >&2
          echo "Page $number"
          show "$page"
        done > "$out"
      '';
in
{
  inherit greeting cards book;

  tests = {
    recurseForDerivations = true;

    # A test is a derivation that fails when something is wrong.
    book = file "test-book" { inherit book; } ''
      pages=0
      while read -r line; do
        case "$line" in
          Page*) pages=$((pages + 1)) ;;
        esac
      done < "$book"
      echo "the book has $pages pages"
      test "$pages" -eq 4
      echo passed > "$out"
    '';

    greeting = file "test-greeting" { inherit greeting; } ''
      read -r line < "$greeting"
      echo "the greeting is: $line"
      test "$line" = "Hello from Ringmaster."
      echo passed > "$out"
    '';
  };
}
